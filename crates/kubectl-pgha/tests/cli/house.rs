//! A service whose users come in by a program's table, and a web server that sends them where the table says.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pgha_testkit::FakeCluster;

use crate::bench::{Bench, Ran};
use crate::web::{first_value, serve};

/// Keeps a table of `route value` lines.
const PROGRAM: &str = include_str!("../../../pgha-nlb-exec/tests/table.py");

/// What both tables say in the beginning: users are at core2.
pub(crate) const BEFORE: &str = "https core2-pool\n";

/// The place, its clusters, two tables (`a` before `b`) and the web server behind table `b`.
pub(crate) struct House {
    pub(crate) bench: Bench,
    folder: PathBuf,
    is_stuck: Arc<AtomicBool>,
}

impl House {
    /// Contexts core1 and core2 lead to these clusters.
    pub(crate) fn new(core1: &FakeCluster, core2: &FakeCluster) -> Self {
        let bench = Bench::new(&[("core1", core1), ("core2", core2)]);
        let folder = bench.home().to_owned();
        fs::write(folder.join("table.py"), PROGRAM).unwrap();
        for table in ["a", "b"] {
            fs::write(folder.join(table), BEFORE).unwrap();
        }
        let is_stuck = Arc::new(AtomicBool::new(false));
        let (table, stuck) = (folder.join("b"), Arc::clone(&is_stuck));
        let pool = move || {
            if stuck.load(Ordering::SeqCst) {
                return "core2-pool".to_owned();
            }
            first_value(&fs::read_to_string(&table).unwrap_or_default())
        };
        let at = serve(pool).unwrap();
        let house = Self {
            bench,
            folder,
            is_stuck,
        };
        fs::write(house.file(), service(&house.folder, at)).unwrap();
        house
    }

    /// The same in the contexts' own namespace, with these lines of its `spec` before its traffic.
    pub(crate) fn with(core1: &FakeCluster, core2: &FakeCluster, spec: &str) -> Self {
        let house = Self::new(core1, core2);
        house.edit("namespace: prod, ", "");
        house.edit("  traffic:\n", &format!("{spec}  traffic:\n"));
        house
    }

    /// The service's file.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.join("pgha.yaml")
    }

    /// Edits the service's file.
    pub(crate) fn edit(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.file()).unwrap();
        assert!(text.contains(from), "{from}: {text}");
        fs::write(self.file(), text.replace(from, to)).unwrap();
    }

    /// What a table says.
    pub(crate) fn table(&self, name: &str) -> String {
        fs::read_to_string(self.folder.join(name)).unwrap()
    }

    /// Has a table say something.
    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.join(name), text).unwrap();
    }

    /// Leaves a marker for the program of a table: `fail` or `kill`.
    pub(crate) fn mark(&self, table: &str, marker: &str) {
        self.write(&format!("{table}.{marker}"), "");
    }

    /// Takes the marker away.
    pub(crate) fn unmark(&self, table: &str, marker: &str) {
        fs::remove_file(self.folder.join(format!("{table}.{marker}"))).unwrap();
    }

    /// The web server answers as core2 from now on, whatever the table says.
    pub(crate) fn stick(&self) {
        self.is_stuck.store(true, Ordering::SeqCst);
    }

    /// Runs `traffic` with the service's file.
    pub(crate) fn traffic(&self, arguments: &[&str]) -> Ran {
        self.run(&[&["traffic"], arguments].concat())
    }

    /// Runs a command with the service's file.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        let file = self.file();
        self.run_here(&[arguments, &["-f", file.to_str().unwrap()]].concat())
    }

    /// Runs a command in the folder of the service's file.
    pub(crate) fn run_here(&self, arguments: &[&str]) -> Ran {
        let mut command = self.bench.command(arguments);
        command.current_dir(&self.folder);
        // Where the table's program finds its interpreter.
        let output = command.env("PATH", env!("PATH")).output().unwrap();
        self.bench.ran(arguments, &output)
    }
}

fn service(folder: &Path, at: SocketAddr) -> String {
    let exec = |table: &str| {
        let program = folder.join("table.py");
        let (program, path) = (program.display(), folder.join(table));
        let path = path.display();
        format!(
            "    - exec:
        id: table-{table}
        program: [python3, {program}, {path}]
        comparesAndSwaps: true
        routes: [{{ name: https, sites: {{ core1: core1-pool, core2: core2-pool }} }}]
"
        )
    };
    format!(
        "apiVersion: pgha.dev/v1alpha1
kind: Service
metadata: {{ name: zitadel }}
spec:
  sites:
    - {{ name: core1, context: core1, cluster: zitadel }}
    - {{ name: core2, context: core2, namespace: prod, cluster: zitadel }}
  traffic:
{}{}    - probe:
        route: https
        url: http://login.example/
        family: v4
        connectTo: {at}
        evidence: [{{ header: {{ name: x-pool, values: {{ core1: core1-pool, core2: core2-pool }} }} }}]
",
        exec("a"),
        exec("b"),
    )
}
