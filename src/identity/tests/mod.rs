//! Rows for each attack on each kind of credential. Keys and certificates are made by the test that uses them.

mod accepts;
mod certificate;
mod junk;
mod keys;
mod kit;
mod oidc;
mod remembered;
