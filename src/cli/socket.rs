//! HTTP over a UNIX socket, for the client: who calls is shown by the user that this process runs as.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport};

/// Connects to one socket, whatever the address.
#[derive(Debug)]
pub(super) struct SocketConnector(pub(super) PathBuf);

/// Looks nothing up.
#[derive(Debug)]
pub(super) struct NoNames;

impl Resolver for NoNames {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut found = self.empty();
        found.push(std::net::SocketAddr::from(([127, 0, 0, 1], 0)));
        Ok(found)
    }
}

impl<In: Transport> Connector<In> for SocketConnector {
    type Out = SocketTransport;

    fn connect(&self, details: &ConnectionDetails<'_>, _: Option<In>) -> Result<Option<Self::Out>, ureq::Error> {
        let stream = UnixStream::connect(&self.0)?;
        let buffers = LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(SocketTransport { stream, buffers }))
    }
}

/// A connection to a socket.
#[derive(Debug)]
pub(super) struct SocketTransport {
    stream: UnixStream,
    buffers: LazyBuffers,
}

/// How long it may take; no time left is not the same as no bound.
fn left(timeout: &NextTimeout) -> Result<Option<Duration>, ureq::Error> {
    if timeout.after.is_zero() { Err(ureq::Error::Timeout(timeout.reason)) } else { Ok(timeout.not_zero().map(|left| *left)) }
}

fn waited<T>(done: io::Result<T>, timeout: &NextTimeout) -> Result<T, ureq::Error> {
    let too_late = |error: &io::Error| [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut].contains(&error.kind());
    done.map_err(|error| if too_late(&error) { ureq::Error::Timeout(timeout.reason) } else { error.into() })
}

impl Transport for SocketTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        let timeout = timeout.for_write();
        self.stream.set_write_timeout(left(&timeout)?)?;
        let output = self.buffers.output().get(..amount).unwrap_or_default();
        waited(self.stream.write_all(output), &timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        let timeout = timeout.for_read();
        self.stream.set_read_timeout(left(&timeout)?)?;
        let read = self.stream.read(self.buffers.input_append_buf());
        let amount = waited(read, &timeout)?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    // one command is a few calls at most; each gets a connection of its own
    fn is_open(&mut self) -> bool {
        false
    }
}
