//! Every bound of the HTTP room, in one place.

use std::time::Duration;

/// Most connections served at once; the next ones wait in the listener's backlog.
pub const MAX_CONNECTIONS: usize = 1024;
/// Most header bytes of one request (hyper answers 431 past it).
pub const MAX_HEADER_BYTES: usize = 32 * 1024;
/// Most headers of one request.
pub const MAX_HEADERS: usize = 100;
/// How long a client may take to send a request's head, and how long an idle connection is kept.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a client may take to send a body.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a request may take from its head to its answer.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// How old a connection grows before it is closed after its next answer: a client that reads nothing cannot hold one for ever.
pub const CONNECTION_LIFETIME: Duration = Duration::from_secs(900);
/// How long requests in flight may take to finish once the server was told to stop.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait after the listener refused to hand out a connection (out of file descriptors, mostly).
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

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
