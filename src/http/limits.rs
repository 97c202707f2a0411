//! Every bound of the HTTP room, in one place.

use std::time::Duration;

/// The bounds of a listener. Each holds for the listener as a whole unless it says otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct EdgeLimits {
    /// Most connections open at once. One more takes the place of the oldest on which nothing was asked yet; where there is none, it is closed
    /// as soon as it is accepted. While some are on their way out there may be an eighth more.
    pub connections: usize,
    /// Most connections open at once from one peer: an IPv4 address, the first 64 bits of an IPv6 address, or a user of a UNIX socket.
    pub connections_per_peer: usize,
    /// Most requests of the data plane answered at once; one more is told to come back.
    pub checks_in_flight: usize,
    /// Most requests of the control plane answered at once; one more is told to come back.
    pub control_in_flight: usize,
    /// Commands that a caller may give each second, on and on. A bulk command counts as many as it carries.
    pub commands_per_second: u32,
    /// Commands that a caller may give at once after a pause.
    pub command_burst: u32,
    /// Most header bytes of one request (431 past it). Not less than [`MIN_HEADER_BYTES`].
    pub header_bytes: usize,
    /// Most headers of one request (431 past it).
    pub headers: usize,
    /// How long a TLS handshake may take.
    pub handshake_timeout: Duration,
    /// How long a client may take from the first byte of a request's head to the last, over HTTP/1.1.
    pub head_timeout: Duration,
    /// How long a client may take to send a body.
    pub body_timeout: Duration,
    /// How long a request may take from its head to its answer.
    pub request_timeout: Duration,
    /// How long a client may read nothing of an answer that waits for it.
    pub write_timeout: Duration,
    /// How long a connection on which nothing is asked is kept.
    pub idle_timeout: Duration,
    /// How old a connection grows before it is closed after what it is answering: a client that reads nothing cannot hold one for ever.
    pub lifetime: Duration,
    /// How long requests in flight may take to finish once the server was told to stop.
    pub drain_timeout: Duration,
    /// Most requests at once on one HTTP/2 connection.
    pub h2_streams: u32,
    /// Most HTTP/2 requests of a connection that were given up by the client before the server had taken them up; one more ends the connection.
    pub h2_pending_resets: usize,
    /// Most HTTP/2 streams of a connection that the server reset because the client broke the protocol; one more ends the connection.
    pub h2_error_resets: usize,
    /// Most HTTP/2 requests of a connection that the client gives up while they are answered, where these are more than it waited for; one
    /// more ends the connection.
    pub h2_given_up: usize,
    /// Bytes that a client may send ahead on one HTTP/2 stream.
    pub h2_stream_window: u32,
    /// Bytes that a client may send ahead on one HTTP/2 connection.
    pub h2_connection_window: u32,
    /// How often a client that is silent over HTTP/2 is asked whether it is still there.
    pub h2_ping_every: Duration,
    /// How long it may take to say so.
    pub h2_ping_timeout: Duration,
}

impl Default for EdgeLimits {
    fn default() -> Self {
        Self {
            connections: 1024,
            connections_per_peer: 512,
            checks_in_flight: 1024,
            control_in_flight: 64,
            commands_per_second: 50,
            command_burst: 200,
            header_bytes: 32 * 1024,
            headers: 100,
            handshake_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(15),
            request_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(75),
            lifetime: Duration::from_secs(900),
            drain_timeout: Duration::from_secs(10),
            h2_streams: 128,
            h2_pending_resets: 20,
            h2_error_resets: 64,
            h2_given_up: 100,
            h2_stream_window: 64 * 1024,
            h2_connection_window: 256 * 1024,
            h2_ping_every: Duration::from_secs(20),
            h2_ping_timeout: Duration::from_secs(10),
        }
    }
}

impl EdgeLimits {
    /// Those of a server for trying things out, where a script is everybody in turn and may be quick.
    #[must_use]
    pub fn dev() -> Self {
        Self { commands_per_second: 10_000, command_burst: 10_000, ..Self::default() }
    }
}

/// Least that [`EdgeLimits::header_bytes`] can be: a read is not smaller.
pub const MIN_HEADER_BYTES: usize = 8 * 1024;
/// How long to wait after a listener refused to hand out a connection (out of file descriptors, mostly).
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long a connection that is let go may take to send what is left.
pub const PARTING_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections that wait to be accepted; the kernel may keep it lower.
pub const BACKLOG: i32 = 1024;
/// How long a new connection waits for the one that makes room for it.
pub const ROOM_TIMEOUT: Duration = Duration::from_secs(2);
/// Most callers of a listener whose commands are counted one by one; those beyond it share one allowance.
pub const MAX_COUNTED_CALLERS: usize = 10_000;

/// Most bytes of a body.
pub const MAX_BODY_BYTES: usize = 256 * 1024;
/// Most bytes of a body of `POST /v1/policies/validate`, which carries a whole bundle.
pub const MAX_BUNDLE_BYTES: usize = 16 * 1024 * 1024;
/// Most bytes of a body that nobody wanted which are read and thrown away, so that the client gets to read its answer.
pub const MAX_DRAINED_BYTES: usize = 1024 * 1024;
/// How long that may take.
pub const DRAINED_TIMEOUT: Duration = Duration::from_secs(2);
/// Deepest nesting of JSON arrays and objects.
pub const MAX_JSON_DEPTH: usize = 32;
/// Longest query string, in bytes.
pub const MAX_QUERY_BYTES: usize = 4 * 1024;
/// Longest `X-Request-ID` that is echoed, in bytes.
pub const MAX_REQUEST_ID_BYTES: usize = 200;
/// Items in a page when the caller does not say.
pub const DEFAULT_PAGE: usize = 100;
/// Most pages of a store's list that are read for one page of an answer, where permission hides most items.
pub const MAX_PAGES_READ: usize = 10;
/// Most of a subject's latest requests and activations that an explanation looks at beside what the subject holds.
pub const EXPLAINED_ACTIVATIONS: usize = 20;
/// Most bundles that are read or validated at once on behalf of callers.
pub const MAX_BUNDLE_JOBS: usize = 1;
/// Most requests for activation in one call of `POST /v1/activations/bulk`.
pub const MAX_BULK_ITEMS: usize = 100;
/// Most stored entities that `GET /v1/policies` names of those that the bundle hides.
pub const MAX_SHADOWED_SHOWN: usize = 100;

/// Most callers that watch the journal at once.
pub const MAX_SUBSCRIBERS: usize = 64;
/// Most records that are looked at for one subscriber before others get their turn. Each may be as large as the engine lets a record be.
pub const MAX_RECORDS_PER_TURN: usize = 32;
/// How often a subscriber to whom there is nothing to tell is told so.
pub const PING_EVERY: Duration = Duration::from_secs(15);
/// How long a subscriber may take to read what was written, before it is let go.
pub const EVENT_WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a subscriber may take to read the rest, once its stream has ended.
pub const EVENT_FLUSH_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a subscriber is asked to wait before it comes back, in milliseconds.
pub const RETRY_AFTER_MILLIS: u64 = 2000;
