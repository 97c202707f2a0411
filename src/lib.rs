//! Elevon: an authorization sidecar for privileged identity management.
//!
//! It decides with Cedar over time-bound role activations kept in RocksDB. `ARCHITECTURE.md` is the map.

#[cfg(feature = "store")]
pub mod app;
pub mod audit;
#[cfg(feature = "store")]
pub mod cli;
pub mod config;
pub mod domain;
pub mod engine;
pub mod http;
pub mod identity;
pub mod notify;
pub mod policy;
#[cfg(feature = "store")]
pub mod store;
pub mod telemetry;
