//! Elevon: an authorization sidecar for privileged identity management.
//!
//! It decides with Cedar over time-bound role activations kept in RocksDB. `ARCHITECTURE.md` is the map.

pub mod audit;
pub mod domain;
pub mod engine;
pub mod policy;
pub mod store;
