//! The rules, by rows; and all of them together against a naive model.

mod entities;
mod grants;
mod history;
mod kit;
mod model;
mod property;
mod requests;
mod upkeep;
mod votes;
