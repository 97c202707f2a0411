//! Settings as flags: for `--dev`, on one's own machine.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::{Credentials, ListenerSettings, Place, Settings};
use crate::domain::CredentialKind;
use crate::http::EdgeLimits;
use crate::notify::NotifySettings;
use crate::telemetry::LogConfig;

/// How to run a server without a configuration file.
#[derive(Debug, Clone)]
pub struct ServeConfig {
    /// The policy folder.
    pub policies: PathBuf,
    /// The data folder; it is made if it is not there.
    pub data: PathBuf,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Whether to believe whoever a caller says it is.
    pub dev: bool,
    /// What is logged, and how.
    pub log: LogConfig,
    /// Whether tests may move the clock. Only in a build with the feature `test-clock`, and only with `dev`.
    pub test_clock: bool,
    /// Where to write the port once the server listens.
    pub port_file: Option<PathBuf>,
}

/// Why a server does not start with these settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadConfig {
    /// No way to tell callers apart but `--dev`'s.
    #[error(
        "nobody could show who they are: without a configuration file no credential is known; write one with `elevon init DIR` and start \
         with `--config DIR/elevon.toml`, or start with `--dev` on your own machine, which believes whoever a caller says it is"
    )]
    DevOnly,
    /// `--dev` on an address that others reach.
    #[error("`--dev` believes every caller, so it listens on loopback only; give `--listen 127.0.0.1:PORT` instead of `{listen}`")]
    NotLoopback {
        /// As it was given.
        listen: SocketAddr,
    },
    /// A movable clock without `--dev`.
    #[error("a clock that tests can move starts with `--dev` only")]
    ClockWithoutDev,
    /// A movable clock in a build that has none.
    #[error("this build has no clock that tests can move; build with `--features test-clock`")]
    NoTestClock,
}

impl ServeConfig {
    /// Refuses settings that do not go together.
    ///
    /// # Errors
    /// They do not; the text says which and what to do.
    pub fn check(&self) -> Result<(), BadConfig> {
        if self.test_clock && !self.dev {
            return Err(BadConfig::ClockWithoutDev);
        }
        if !self.dev {
            return Err(BadConfig::DevOnly);
        }
        if !self.listen.ip().is_loopback() {
            return Err(BadConfig::NotLoopback { listen: self.listen });
        }
        if self.test_clock && !cfg!(feature = "test-clock") {
            return Err(BadConfig::NoTestClock);
        }
        Ok(())
    }

    /// The same settings, spelt out.
    ///
    /// # Errors
    /// They do not go together.
    pub fn settings(self) -> Result<Settings, BadConfig> {
        self.check()?;
        let listener = ListenerSettings {
            name: "dev".to_owned(),
            at: Place::Tcp(self.listen),
            check: true,
            control: true,
            accept: vec![CredentialKind::Dev],
            tls: None,
            grpc_reflection: false,
        };
        Ok(Settings {
            file: None,
            policies: self.policies,
            data: self.data,
            log: self.log,
            dev: true,
            listeners: vec![listener],
            credentials: Credentials::default(),
            limits: EdgeLimits::dev(),
            open_metrics: true,
            notify: NotifySettings::default(),
            test_clock: self.test_clock,
            port_file: self.port_file,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(listen: &str, dev: bool, test_clock: bool) -> ServeConfig {
        ServeConfig {
            policies: "policies".into(),
            data: "data".into(),
            listen: listen.parse().unwrap(),
            dev,
            log: LogConfig::default(),
            test_clock,
            port_file: None,
        }
    }

    #[test]
    fn a_server_starts_in_development_on_loopback_or_not_at_all() {
        let rows = [
            ("127.0.0.1:0", true, false, None),
            ("[::1]:8181", true, false, None),
            ("127.0.0.1:0", false, false, Some(BadConfig::DevOnly)),
            ("0.0.0.0:8181", false, false, Some(BadConfig::DevOnly)),
            ("0.0.0.0:8181", true, false, Some(BadConfig::NotLoopback { listen: "0.0.0.0:8181".parse().unwrap() })),
            ("[::]:8181", true, false, Some(BadConfig::NotLoopback { listen: "[::]:8181".parse().unwrap() })),
            ("10.1.2.3:8181", true, false, Some(BadConfig::NotLoopback { listen: "10.1.2.3:8181".parse().unwrap() })),
            ("127.0.0.1:0", false, true, Some(BadConfig::ClockWithoutDev)),
        ];
        for (listen, dev, test_clock, refused) in rows {
            assert_eq!(config(listen, dev, test_clock).check().err(), refused, "{listen} {dev} {test_clock}");
        }
        assert_eq!(config("127.0.0.1:0", true, true).check().is_ok(), cfg!(feature = "test-clock"));
    }
}
