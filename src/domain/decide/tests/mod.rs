//! The rules, by rows; and all of them together against a naive model.

mod alerts;
mod detecting;
mod edges;
mod ending;
mod entities;
mod extending;
mod grants;
mod history;
mod kit;
mod lasting;
mod limits;
mod model;
mod prolonging;
mod property;
mod requests;
mod reviews;
mod steering;
mod upkeep;
mod votes;
mod watching;
