//! The real programs, each with the configuration that stands in the examples, in front of a small upstream. They run where `make test` has
//! fetched them.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::calls::{Told, plain};
use crate::common::{Home, Server, uid};
use crate::world::{ALICE, BOB, PROD, activates, eligible, examples, home, revokes};

/// Longest wait for a gateway to be there.
const PATIENCE: Duration = Duration::from_secs(30);

/// The folder with the programs; none where the tests run without what `make test` fetches.
pub(crate) fn tools() -> Option<PathBuf> {
    std::env::var_os("ELEVON_TEST_TOOLS")?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/tools-gateways");
    let made = Command::new(script).stderr(Stdio::inherit()).output().unwrap();
    assert!(made.status.success(), "the gateways could not be fetched");
    Some(PathBuf::from(String::from_utf8_lossy(&made.stdout).trim()))
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// What stands behind a gateway: it notes the head of each request, and answers 200.
pub(crate) struct Upstream {
    pub(crate) port: u16,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Upstream {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let noted = Arc::clone(&heads);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, noted) = (stream.unwrap(), Arc::clone(&noted));
                thread::spawn(move || {
                    let mut head = Vec::new();
                    let mut byte = [0];
                    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|count| count > 0) {
                        head.push(byte[0]);
                    }
                    if head.is_empty() {
                        return;
                    }
                    noted.lock().unwrap().push(String::from_utf8_lossy(&head).to_lowercase());
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\nConnection: close\r\n\r\nupstream");
                });
            }
        });
        Self { port, heads }
    }

    pub(crate) fn seen(&self) -> usize {
        self.heads.lock().unwrap().len()
    }

    /// The values of a header in the last request.
    pub(crate) fn last(&self, name: &str) -> Vec<String> {
        let heads = self.heads.lock().unwrap();
        let lines = heads.last().unwrap().lines().filter_map(|line| line.split_once(':'));
        lines.filter(|(found, _)| found.replace('_', "-") == name).map(|(_, value)| value.trim().to_owned()).collect()
    }
}

/// A gateway that runs, ended when this is dropped.
pub(crate) struct Gateway {
    child: Child,
    pub(crate) port: u16,
    folder: tempfile::TempDir,
}

impl Gateway {
    /// Starts a program with its example's configuration, at other ports.
    pub(crate) fn start(tools: &Path, name: &str, elevon: u16, upstream: u16) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), tools, name, elevon, upstream)
    }

    /// The same, in a folder that has more in it.
    pub(crate) fn start_in(folder: tempfile::TempDir, tools: &Path, name: &str, elevon: u16, upstream: u16) -> Self {
        let port = free_port();
        for entry in fs::read_dir(examples().join(name)).unwrap() {
            let entry = entry.unwrap();
            let Ok(text) = fs::read_to_string(entry.path()) else { continue };
            // in two steps: a port that is free may hold the digits of another that is to be replaced
            let text = text.replace("8181", "@elevon@").replace("8080", "@own@").replace("9000", "@upstream@");
            let ports = [("@elevon@", elevon), ("@own@", port), ("@upstream@", upstream)];
            let text = ports.iter().fold(text, |text, (mark, port)| text.replace(mark, &port.to_string()));
            // where a package that is installed would have its folders
            let own =
                "access_log off; client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;";
            let text = text.replace("access_log off;", own);
            fs::write(folder.path().join(entry.file_name()), text).unwrap();
        }
        let at = |file: &str| folder.path().join(file).to_str().unwrap().to_owned();
        let (program, arguments) = match name {
            "nginx" => {
                let global = format!("daemon off; master_process off; pid {};", at("pid"));
                (
                    "nginx",
                    vec![
                        "-p".to_owned(),
                        at(""),
                        "-c".to_owned(),
                        at("nginx.conf"),
                        "-e".to_owned(),
                        at("errors"),
                        "-g".to_owned(),
                        global,
                    ],
                )
            }
            "caddy" => {
                ("caddy", ["run", "--adapter", "caddyfile", "--config"].map(str::to_owned).into_iter().chain([at("Caddyfile")]).collect())
            }
            "haproxy" => ("haproxy", vec!["-db".to_owned(), "-f".to_owned(), at("haproxy.cfg")]),
            "envoy-grpc" | "envoy-http" | "envoy-mtls" => {
                let quiet = ["--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warn", "-c"].map(str::to_owned);
                ("envoy", quiet.into_iter().chain([at("envoy.yaml")]).collect())
            }
            other => panic!("there is no gateway `{other}`"),
        };
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new(tools.join("bin").join(program));
        command.args(arguments).current_dir(folder.path()).env("HOME", folder.path()).env("XDG_DATA_HOME", folder.path());
        let child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let mut gateway = Self { child, port, folder };
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if let Some(status) = gateway.child.try_wait().unwrap() {
                panic!("{name} ended with {status}:\n{}", gateway.log());
            }
            assert!(began.elapsed() < PATIENCE, "{name} is not there:\n{}", gateway.log());
            thread::sleep(Duration::from_millis(20));
        }
        gateway
    }

    fn log(&self) -> String {
        ["log", "errors"].map(|file| fs::read_to_string(self.folder.path().join(file)).unwrap_or_default()).concat()
    }

    /// Asks for a path as somebody who forges what Elevon says.
    fn asks(&self, who: &str, path: &str) -> Told {
        let headers = [
            "Host: db.example".to_owned(),
            format!("Authorization: Dev User::\"{who}\""),
            "X-Elevon-Principal: User::\"root\"".to_owned(),
            "X-Elevon-Role: forged".to_owned(),
            "X-Elevon-Activation: forged".to_owned(),
            "X-Elevon-Until: forged".to_owned(),
            "Elevon-Principal: User::\"forged\"".to_owned(),
        ];
        plain(self.port, "GET", path.as_bytes(), &headers, "")
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("what the gateway said:\n{}", self.log());
        }
    }
}

const ORDERS: &str = "/databases/orders?columns=all";

/// Denied; activated and approved: allowed, with who it is at the upstream and nothing forged; revoked: denied at the very next request;
/// without Elevon: not allowed.
fn story(name: &str) {
    let Some(tools) = tools() else { return };
    let (home, upstream) = (home(), Upstream::start());
    let server = home.serve();
    let gateway = Gateway::start(&tools, name, server.port(), upstream.port);
    eligible(&server, ALICE, "db-admin");

    let told = gateway.asks(ALICE, ORDERS);
    assert_eq!((told.status, upstream.seen()), (403, 0), "{told:?}");
    // the answer itself goes to the client, where the gateway lets it
    if !["nginx", "haproxy"].contains(&name) {
        assert!(told.body.contains("elevon activate db-admin"), "{told:?}");
    }
    let told = plain(gateway.port, "GET", ORDERS.as_bytes(), &["Host: db.example".to_owned()], "");
    assert_eq!((told.status, upstream.seen()), (401, 0), "{told:?}");
    assert!(told.headers.iter().any(|header| header.starts_with("www-authenticate: ")), "{told:?}");

    let activation = activates(&server, ALICE);
    let told = gateway.asks(ALICE, ORDERS);
    assert_eq!((told.status, told.body.as_str(), upstream.seen()), (200, "upstream", 1), "{told:?}");
    assert_eq!(upstream.last("x-elevon-principal"), ["user::\"alice\""]);
    assert_eq!(upstream.last("x-elevon-role"), ["db-admin"]);
    assert_eq!(upstream.last("x-elevon-activation"), [activation["id"].as_str().unwrap()]);
    assert_eq!(upstream.last("x-elevon-until"), [activation["end"].as_str().unwrap().to_lowercase()]);
    assert_eq!(upstream.last("elevon-principal"), [""; 0]);
    assert!(upstream.heads.lock().unwrap().iter().all(|head| !head.contains("forged") && !head.contains("root")));
    // somebody else is still somebody else, and what can be read in two ways is refused
    assert_eq!((gateway.asks(BOB, ORDERS).status, upstream.seen()), (403, 1));
    for hostile in [
        "/databases/x/../orders",
        "/databases//orders",
        "/databases/%2e%2e/databases/orders",
        "/databases/orders%00",
        "/databases%2forders",
    ] {
        let told = gateway.asks(ALICE, hostile);
        assert!((400..500).contains(&told.status), "{hostile}: {told:?}");
        assert_eq!(upstream.seen(), 1, "{hostile}");
    }

    // a header in disguise is refused, or does not come through
    let disguised = ["Host: db.example", "Authorization: Dev User::\"alice\"", "X_Elevon_Role: disguised", "X.Elevon.Role: disguised"];
    let told = plain(gateway.port, "GET", ORDERS.as_bytes(), &disguised.map(str::to_owned), "");
    let seen = upstream.seen();
    assert_eq!(seen - 1, usize::from(told.status == 200), "{told:?}");
    assert!(upstream.heads.lock().unwrap().iter().all(|head| !head.contains("disguised")), "{told:?}");

    revokes(&server, &activation);
    assert_eq!((gateway.asks(ALICE, ORDERS).status, upstream.seen()), (403, seen));

    activates(&server, ALICE);
    assert_eq!((gateway.asks(ALICE, ORDERS).status, upstream.seen()), (200, seen + 1));
    server.kill();
    let told = gateway.asks(ALICE, ORDERS);
    assert!(told.status >= 500 || told.status == 403, "{told:?}");
    assert_eq!(upstream.seen(), seen + 1);
}

#[test]
fn envoy_asks_over_grpc() {
    story("envoy-grpc");
}

#[test]
fn envoy_asks_over_http() {
    story("envoy-http");
}

#[test]
fn nginx_asks() {
    story("nginx");
}

#[test]
fn caddy_asks() {
    story("caddy");
}

#[test]
fn haproxy_asks() {
    story("haproxy");
}

/// How often Elevon was asked about something.
fn checks(server: &Server) -> u64 {
    let (_, text) = server.try_call(None, "GET", "/metrics", None).unwrap();
    let text = text.as_str().unwrap_or_default().to_owned();
    let counted = text.lines().filter(|line| line.starts_with("elevon_checks_total"));
    counted.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

/// nginx with its cache on, and a route that lets answers be kept.
fn kept(stale: &str) -> Option<(Home, Server, Upstream, Gateway)> {
    let tools = tools()?;
    let home = home();
    let routes = home.policies().join("routes.toml");
    let text = fs::read_to_string(&routes).unwrap().replace("max_stale = \"PT10S\"", &format!("max_stale = \"{stale}\""));
    fs::write(routes, text).unwrap();
    let (server, upstream) = (home.serve_in_real_time(), Upstream::start());
    let gateway = Gateway::start(&tools, "nginx", server.port(), upstream.port);
    eligible(&server, ALICE, "db-admin");
    Some((home, server, upstream, gateway))
}

#[test]
fn nginx_keeps_an_answer_only_where_the_route_says_so_and_no_longer() {
    let Some((_home, server, _upstream, gateway)) = kept("PT4S") else { return };
    let activation = activates(&server, ALICE);
    // by default every request is asked about
    let before = checks(&server);
    for _ in 0..5 {
        assert_eq!(gateway.asks(ALICE, ORDERS).status, 200);
    }
    assert_eq!(checks(&server) - before, 5);
    // and where the route says so, not
    let before = checks(&server);
    for _ in 0..5 {
        assert_eq!(gateway.asks(ALICE, "/reports/orders").status, 200);
    }
    assert!(checks(&server) - before < 5, "nothing was kept");
    // an answer of somebody else's is never taken
    assert_eq!(gateway.asks(BOB, "/reports/orders").status, 403);

    assert_eq!(gateway.asks(ALICE, "/reports/orders").status, 200);
    revokes(&server, &activation);
    let revoked = Instant::now();
    while revoked.elapsed() < Duration::from_secs(7) {
        let began = revoked.elapsed();
        let status = gateway.asks(ALICE, "/reports/orders").status;
        assert!(status == 403 || (status == 200 && began < Duration::from_secs(4)), "{status} {began:?} after the revoke");
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(gateway.asks(ALICE, "/reports/orders").status, 403);
}

#[test]
fn nginx_keeps_no_allow_past_the_end_of_an_activation() {
    let Some((_home, server, _upstream, gateway)) = kept("PT1H") else { return };
    let body = json!({"role": "db-admin", "scope": uid(PROD), "duration": "PT6S", "justification": "test"});
    let asked = server.post(ALICE, "/v1/activations", body, 201);
    let path = format!("/v1/activations/{}/approve", asked["id"].as_str().unwrap());
    server.post(BOB, &path, json!({"request_hash": asked["request_hash"]}), 200);
    let active = Instant::now();
    assert_eq!(gateway.asks(ALICE, "/reports/orders").status, 200);
    let (mut allowed, before) = (0, checks(&server));
    while active.elapsed() < Duration::from_secs(9) {
        let began = active.elapsed();
        let status = gateway.asks(ALICE, "/reports/orders").status;
        assert!(status == 403 || (status == 200 && began < Duration::from_secs(6)), "{status} {began:?} after it was activated");
        allowed += u64::from(status == 200);
        thread::sleep(Duration::from_millis(50));
    }
    assert!(allowed > 0 && checks(&server) - before > 0);
    assert_eq!(gateway.asks(ALICE, "/reports/orders").status, 403);
}
