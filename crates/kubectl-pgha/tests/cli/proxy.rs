//! The environment's proxy, as kubectl takes it.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::thread;

use crate::bench::Bench;

/// Not a loopback address to whoever reads it, and one to whoever connects to it: nothing leaves this machine.
const SERVER: &str = "[::ffff:127.0.0.1]:1";

const LEADER: [&str; 4] = ["leader", "zitadel", "--request-timeout", "5s"];

fn bench() -> Bench {
    let kubeconfig = format!(
        "{{apiVersion: v1, kind: Config, current-context: far, \
         clusters: [{{name: far, cluster: {{server: 'https://{SERVER}'}}}}], \
         users: [{{name: me, user: {{token: t}}}}], \
         contexts: [{{name: far, context: {{cluster: far, user: me}}}}]}}"
    );
    Bench::with_kubeconfig(kubeconfig.as_bytes())
}

#[test]
fn the_proxy_of_the_environment_is_asked() {
    for variable in ["HTTPS_PROXY", "https_proxy"] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = thread::spawn(move || {
            let (connection, _) = listener.accept().unwrap();
            let mut line = String::new();
            BufReader::new(connection).read_line(&mut line).unwrap();
            line
        });
        let bench = bench();
        let mut command = bench.command(&LEADER);
        let output = command.env(variable, url).output().unwrap();
        let ran = bench.ran(&LEADER, &output);
        assert_ne!(ran.code, Some(0), "{ran}");
        // Without a proxy nobody has connected, and the thread would wait for ever.
        assert!(!ran.stderr.contains("refused"), "{ran}");
        let line = asked.join().unwrap();
        assert!(line.starts_with(&format!("CONNECT {SERVER} ")), "{line}");
    }
}

#[test]
fn an_exception_of_the_environment_is_reached_without_it() {
    let bench = bench();
    let mut command = bench.command(&LEADER);
    let output = command
        .env("HTTPS_PROXY", "http://127.0.0.1:2")
        .env("NO_PROXY", "10.0.0.0/8,::ffff:127.0.0.1")
        .output()
        .unwrap();
    let ran = bench.ran(&LEADER, &output);
    assert_eq!(ran.code, Some(3), "{ran}");
    assert!(ran.stderr.contains("refused"), "{ran}");
    assert!(!ran.stderr.contains("127.0.0.1:2"), "{ran}");
}
