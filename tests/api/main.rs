//! The HTTP API, asked over real connections to a server in this process.

mod authzen;
mod help;
mod lists;
mod matrix;
mod operations;
mod story;
mod wrong;
