//! The end of the real process: what is in flight is answered, and whoever does not want to wait says so twice.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use serde_json::json;

use crate::common::eventually;
use crate::help::Secure;

/// A command whose body has not come. The server has begun to answer it when this returns.
fn held(secure: &Secure, body: &str) -> TcpStream {
    let address = secure.url().trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(&address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let head = format!(
        "POST /v1/activations HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        secure.admin,
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut told = [0; 25];
    stream.read_exact(&mut told).unwrap();
    assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n", "{}", secure.log());
    stream
}

fn tell(secure: &Secure, signal: &str) {
    let id = secure.server.as_ref().unwrap().id().to_string();
    assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
}

/// How it ended, once it has.
fn ended(secure: &mut Secure) -> ExitStatus {
    let mut status = None;
    let server = secure.server.as_mut().unwrap();
    eventually("the server ends", || {
        status = server.try_wait().unwrap();
        status.is_some()
    });
    status.unwrap()
}

#[test]
fn what_was_begun_is_answered_and_kept_and_nothing_new_is_taken() {
    let mut secure = Secure::new();
    secure.start();
    let body = json!({"role": "elevon-admin", "justification": "in flight"}).to_string();
    let mut held = held(&secure, &body);
    let address = secure.url().trim_start_matches("http://").to_owned();
    tell(&secure, "-TERM");
    eventually("nothing new is taken", || TcpStream::connect(&address).is_err());
    assert!(secure.server.as_mut().unwrap().try_wait().unwrap().is_none(), "it did not wait");
    held.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    held.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    assert_eq!(ended(&mut secure).code(), Some(0));
    assert!(secure.log().contains("SIGTERM") && secure.log().contains("stopped"), "{}", secure.log());
    secure.start();
    let (_, me) = secure.me(&secure.admin);
    assert_eq!(me["active"][0]["role"], json!("elevon-admin"), "what was answered is kept: {me}");
}

#[test]
fn whoever_says_it_twice_does_not_wait() {
    for (first, second) in [("-TERM", "-TERM"), ("-INT", "-TERM")] {
        let mut secure = Secure::new();
        secure.add("[limits]\ndrain_timeout = \"PT1H\"\nbody_timeout = \"PT1H\"\nrequest_timeout = \"PT1H\"");
        secure.start();
        let mut held = held(&secure, "{\"role\": \"elevon-admin\"}");
        tell(&secure, first);
        eventually("it was told", || secure.log().contains("told to stop by"));
        assert!(secure.server.as_mut().unwrap().try_wait().unwrap().is_none(), "it did not wait");
        tell(&secure, second);
        assert_eq!(ended(&mut secure).code(), Some(0), "{first} {second}");
        let mut answer = String::new();
        let _ = held.read_to_string(&mut answer);
        assert_eq!(answer, "", "what was not carried out was answered");
        assert!(secure.log().contains("told to stop once more") && secure.log().contains("stopped"), "{}", secure.log());
        // the journal was closed as always
        secure.start();
        assert_eq!(secure.me(&secure.admin).0, 200);
    }
}

#[test]
fn nobody_keeps_a_server_from_its_end() {
    let mut secure = Secure::new();
    secure.add("[limits]\ndrain_timeout = \"PT1S\"");
    secure.start();
    let _held = held(&secure, "{\"role\": \"elevon-admin\"}");
    tell(&secure, "-TERM");
    assert_eq!(ended(&mut secure).code(), Some(0));
    assert!(secure.log().contains("cut off"), "{}", secure.log());
}
