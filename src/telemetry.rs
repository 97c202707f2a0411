//! Logs: text for people or JSON for programs, on standard error. No secrets and no free text go into them.

use std::fmt;
use std::io;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

/// What is never logged, whatever the filter says: at these levels the client that notifications are sent with writes down addresses and headers,
/// and with them the secrets that open a channel or a receiver.
const NEVER: &str = "ureq=info,ureq_proto=info";

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs, one JSON object a line.
    Json,
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// Text or JSON.
    pub format: LogFormat,
    /// Which events, such as `info` or `elevon=debug,info`.
    pub filter: String,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Text, filter: "info".to_owned() }
    }
}

/// Why logging could not begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TelemetryError {
    /// The filter does not read.
    #[error("the log filter `{filter}` does not read: {why}; write one such as `info` or `elevon=debug,info`")]
    Filter {
        /// As it was given.
        filter: String,
        /// What is wrong with it.
        why: String,
    },
}

impl LogConfig {
    /// Whether the filter reads.
    ///
    /// # Errors
    /// It does not.
    pub fn check(&self) -> Result<(), TelemetryError> {
        self.read_filter().map(drop)
    }

    fn read_filter(&self) -> Result<EnvFilter, TelemetryError> {
        let bad = |error: &dyn fmt::Display| TelemetryError::Filter { filter: self.filter.clone(), why: error.to_string() };
        EnvFilter::builder().parse(&self.filter).map_err(|error| bad(&error))?;
        // a directive that comes later counts, and one that is more exact than these does not get by them
        let exact = |directive: &&str| !["ureq", "ureq_proto"].iter().any(|name| directive.trim_start().starts_with(name));
        let kept: Vec<&str> = self.filter.split(',').filter(exact).chain([NEVER]).collect();
        EnvFilter::builder().parse(kept.join(",")).map_err(|error| bad(&error))
    }
}

/// Begins logging, for the whole process. Where something else logs already, that stays.
///
/// # Errors
/// The filter does not read.
pub fn init(config: &LogConfig) -> Result<(), TelemetryError> {
    let filter = config.read_filter()?;
    let ansi = io::IsTerminal::is_terminal(&io::stderr()) && std::env::var_os("NO_COLOR").is_none();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_span_events(FmtSpan::NONE);
    let begun = match config.format {
        LogFormat::Text => builder.with_ansi(ansi).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init(),
    };
    if begun.is_err() {
        tracing::debug!("logging had begun already");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a filter lets through.
    #[derive(Clone, Default)]
    struct Written(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn no_filter_shows_what_is_sent_to_whom() {
        let rows = ["trace", "ureq=trace", "info,ureq::run=trace,ureq_proto::util=debug", "trace,ureq_proto[x]=trace", "ureq"];
        for filter in rows {
            let written = Written::default();
            let to = written.clone();
            let config = LogConfig { filter: filter.to_owned(), ..LogConfig::default() };
            let subscriber =
                tracing_subscriber::fmt().with_env_filter(config.read_filter().unwrap()).with_writer(move || to.clone()).finish();
            tracing::subscriber::with_default(subscriber, || {
                tracing::debug!(target: "ureq::run", "secret");
                tracing::trace!(target: "ureq_proto::util", "secret");
                tracing::info!(target: "ureq", "plain");
            });
            let written = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
            assert!(written.contains("plain") && !written.contains("secret"), "{filter}: {written}");
        }
    }

    #[test]
    fn a_filter_that_does_not_read_is_refused() {
        let config = LogConfig { filter: "elevon=loud=louder".to_owned(), ..LogConfig::default() };
        assert!(init(&config).is_err());
    }
}
