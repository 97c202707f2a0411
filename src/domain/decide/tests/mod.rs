//! The rules, by rows; and all of them together against a naive model.

mod entities;
mod grants;
mod kit;
mod requests;
mod upkeep;
mod votes;
