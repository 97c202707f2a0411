//! Listeners by the file: planes of their own, and sockets that somebody else may be at.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;

use crate::common::{ELEVON, elevon, eventually, run};
use crate::help::Secure;

/// The status and the body of what is answered at a socket.
fn ask(socket: &Path, token: &str, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut stream = UnixStream::connect(socket).unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{answer:?}"));
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

#[test]
fn a_plane_is_served_where_the_file_says_and_health_everywhere() {
    let mut secure = Secure::new();
    for plane in ["check", "control"] {
        secure.add(&format!("[[listeners]]\nname = \"{plane}\"\nunix = \"{plane}.sock\"\nplanes = [\"{plane}\"]\naccept = [\"token\"]\n"));
    }
    let gateway = secure.add_token("gateway", "Service::\"gateway\"");
    secure.start();
    let question =
        "{\"subject\":{\"type\":\"User\",\"id\":\"admin\"},\"action\":{\"name\":\"x\"},\"resource\":{\"type\":\"System\",\"id\":\"web\"}}";
    let activate = "{\"role\":\"elevon-admin\",\"justification\":\"x\"}";
    let rows = [
        (&gateway, "POST", "/access/v1/evaluation", question, true, false),
        (&gateway, "GET", "/.well-known/authzen-configuration", "", true, false),
        (&secure.admin, "GET", "/v1/elevated?principal_type=User&principal_id=admin&role=elevon-admin", "", true, false),
        (&secure.admin, "POST", "/v1/activations", activate, false, true),
        (&secure.admin, "GET", "/v1/me", "", false, true),
        (&secure.admin, "GET", "/metrics", "", false, true),
        (&secure.admin, "GET", "/openapi.json", "", false, true),
        (&gateway, "GET", "/healthz", "", true, true),
        (&gateway, "GET", "/readyz", "", true, true),
    ];
    for (token, method, path, body, by_check, by_control) in rows {
        for (plane, served) in [("check", by_check), ("control", by_control)] {
            let (status, answer) = ask(&secure.dir().join(format!("{plane}.sock")), token, method, path, body);
            assert_eq!(status != 404, served, "{method} {path} at {plane}: {status} {answer}");
            assert!(served || answer.contains("no_such_endpoint"), "{method} {path} at {plane}: {answer}");
            assert!(!served || matches!(status, 200 | 201 | 403), "{method} {path} at {plane}: {status} {answer}");
        }
    }
}

/// A server with a listener at `elevon.sock` in its folder.
fn with_socket() -> Secure {
    let secure = Secure::new();
    secure.add("[[listeners]]\nname = \"socket\"\nunix = \"elevon.sock\"\nmode = \"0600\"\naccept = [\"token\"]\n");
    secure
}

#[test]
fn a_socket_that_was_left_behind_is_taken_and_one_that_somebody_is_at_is_not() {
    let mut secure = with_socket();
    let socket = secure.dir().join("elevon.sock");
    let serve = |secure: &Secure| elevon(&["serve", "--config", secure.config().to_str().unwrap()]);
    // somebody who takes connections, somebody who takes none more, and somebody who speaks in another way
    let listening = UnixListener::bind(&socket).unwrap();
    let ran = serve(&secure);
    assert!(ran.code == 2 && ran.stderr.contains("elevon.sock"), "{ran:?}");
    let line: Vec<_> = std::iter::from_fn(|| {
        let asking = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
        asking.set_nonblocking(true).unwrap();
        asking.connect(&socket2::SockAddr::unix(&socket).unwrap()).is_ok().then_some(asking)
    })
    .collect();
    let ran = serve(&secure);
    assert!(ran.code == 2 && ran.stderr.contains("elevon.sock"), "with {} in line: {ran:?}", line.len());
    drop((listening, line));
    fs::remove_file(&socket).unwrap();
    let datagrams = UnixDatagram::bind(&socket).unwrap();
    let ran = serve(&secure);
    assert!(ran.code == 2 && ran.stderr.contains("elevon.sock"), "{ran:?}");
    drop(datagrams);
    fs::remove_file(&socket).unwrap();
    for (what, there) in [("a file", false), ("a folder", true)] {
        if there {
            fs::create_dir(&socket).unwrap()
        } else {
            fs::write(&socket, "mine").unwrap()
        }
        let ran = serve(&secure);
        assert!(ran.code == 2 && ran.stderr.contains("no socket"), "{what}: {ran:?}");
        if there { fs::remove_dir(&socket).unwrap() } else { fs::remove_file(&socket).unwrap() }
    }
    // one that a server left behind that was killed
    drop(UnixListener::bind(&socket).unwrap());
    assert!(socket.exists());
    secure.start();
    assert_eq!(ask(&socket, &secure.admin, "GET", "/v1/me", "").0, 200);
    let there = fs::symlink_metadata(&socket).unwrap();
    assert!(there.file_type().is_socket() && there.permissions().mode() & 0o777 == 0o600);
    let left: Vec<_> = fs::read_dir(secure.dir()).unwrap().filter(|file| file.as_ref().unwrap().file_name() != "elevon.sock").collect();
    assert!(left.iter().all(|file| !file.as_ref().unwrap().file_name().to_str().unwrap().contains(".sock")), "{left:?}");
}

#[test]
fn what_the_command_line_shows_of_a_configuration_is_no_secret() {
    let secure = Secure::new();
    let text = fs::read_to_string(secure.config()).unwrap();
    let digest = text.split("sha256 = \"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let checked = elevon(&["config", "check", secure.config().to_str().unwrap()]);
    assert_eq!(checked.code, 0, "{checked:?}");
    // in order, and with a mistake on the very line of the digest and on others
    let rows = [
        text.clone(),
        text.replace(&digest, &format!("{digest}0")),
        text.replace(&digest, &secure.admin),
        text.replace("first-administrator", &secure.admin),
        format!("# {}\n{text}", secure.admin),
        format!("{} = 1\n{text}", secure.admin),
        text.replace("accept = [\"token\"]", &format!("accept = [\"{}\"]", secure.admin)),
        text.replace("sha256 = \"", "sha265 = \""),
        text.replace("principal = ", "principle = "),
    ];
    for text in rows {
        fs::write(secure.config(), &text).unwrap();
        for json in [false, true] {
            let mut command = Command::new(ELEVON);
            command.args(["config", "check", secure.config().to_str().unwrap()]);
            if json {
                command.args(["--output", "json"]);
            }
            let ran = run(&mut command);
            assert!(ran.code == 0 || ran.code == 2, "{ran:?}");
            assert_eq!(
                text.contains(&secure.admin),
                ran.code == 2 && format!("{ran:?}").contains("a token stands here"),
                "{text}: {ran:?}"
            );
            assert!(!ran.stdout.contains(&secure.admin) && !ran.stderr.contains(&secure.admin), "a token is shown: {ran:?}");
        }
    }
    fs::write(secure.config(), text).unwrap();
}

/// A file that is read again with a token in the place of its digest, as somebody might write it by mistake.
#[test]
fn a_token_that_was_put_into_the_file_by_mistake_is_not_logged() {
    let mut secure = Secure::new();
    secure.start();
    let text = fs::read_to_string(secure.config()).unwrap();
    let digest = text.split("sha256 = \"").nth(1).unwrap().split('"').next().unwrap();
    fs::write(secure.config(), text.replace(digest, &secure.admin)).unwrap();
    secure.hang_up();
    eventually("it is shown", || secure.degraded());
    assert!(secure.log().contains("was not taken") && !secure.log().contains(&secure.admin), "{}", secure.log());
    assert_eq!(secure.me(&secure.admin).0, 200);
}

/// A pipe, once somebody reads at its other end.
fn read_at(pipe: &Path) -> fs::File {
    /// `O_NONBLOCK`: where nobody reads, it is not opened.
    const AT_ONCE: i32 = 0o4000;
    let mut open = None;
    eventually("somebody reads", || {
        open = fs::OpenOptions::new().write(true).custom_flags(AT_ONCE).open(pipe).ok();
        open.is_some()
    });
    open.unwrap()
}

/// A start may take its time, and whoever has changed the configuration meanwhile says so to a process that does not serve yet.
#[test]
fn a_signal_during_the_start_ends_nothing_and_is_heeded() {
    let mut secure = Secure::new();
    secure.change("accept = [\"token\"]", "accept = [\"token\"]\ntls = { certificate = \"server.pem\", key = \"server.key\" }");
    let authority = crate::tls::Authority::new("server");
    authority.issue_server(&secure.dir());
    let (key, pipe) = (fs::read(secure.dir().join("server.key")).unwrap(), secure.dir().join("server.key"));
    fs::remove_file(&pipe).unwrap();
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    secure.launch();
    // opened when the server reads at the other end, which is in the middle of its start
    let mut first = read_at(&pipe);
    secure.hang_up();
    first.write_all(&key).unwrap();
    drop(first);
    // and once more, because it was told that there is something new; what it read before is closed when it serves
    eventually("it serves", || secure.home.path().join("port").exists());
    read_at(&pipe).write_all(&key).unwrap();
    eventually("the configuration is read again", || secure.log().contains("the configuration was read again"));
    assert!(secure.server.as_mut().unwrap().try_wait().unwrap().is_none(), "{}", secure.log());
}
