//! A tool that dies between the fence and the promotion, and nobody who resumes: the Job at the source makes it primary again.

use std::io::{BufRead as _, BufReader};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use pgha_lab::cluster::primary_site;
use pgha_lab::image::give_plugin;
use pgha_lab::kubectl::Kubectl;
use pgha_lab::site::{IMAGE_PLUGIN, Site};
use pgha_lab::wait;
use pgha_tests::pair::event::FENCED;
use pgha_tests::pair::{Kind, OLD, STREAMING};
use pgha_tests::{Suite, kill, manifest, say};

/// How long each wait of the move may last; the Job waits for three times as long.
const TIMEOUT: &str = "20s";

/// The Job's own waits come on top of its patience.
const DEADLINE: Duration = Duration::from_mins(3);

#[test]
fn a_source_whose_tool_is_dead_is_primary_again_at_the_deadline() -> Result<()> {
    match Suite::open()? {
        Some(suite) => goes_back(&suite, STREAMING),
        None => Ok(()),
    }
}

/// Its Patroni was paused and its Postgres stopped by hand.
#[test]
fn a_source_of_an_old_patroni_is_primary_again_at_the_deadline() -> Result<()> {
    match Suite::open_for_full()? {
        Some(suite) => goes_back(&suite, OLD),
        None => Ok(()),
    }
}

fn goes_back(suite: &Suite, kind: Kind) -> Result<()> {
    let cluster = kind.cluster;
    suite.pair(cluster, kind.standby, kind.patroni)?;
    let from = primary_site(cluster)?;
    give_plugin(&suite.program("kubectl-pgha"))?;
    apply_roles(cluster, from)?;
    let writer = suite.writer(cluster, 2)?;
    let died = dies_once_fenced(suite, cluster, from)?;
    let job = the_job(cluster, from)?;
    wait::until("a source that is primary again", DEADLINE, || {
        ensure!(primary_site(cluster)? == from, "it is not primary");
        Ok(())
    })?;
    say(&format!(
        "writable again {:.1} s after the tool died",
        died.elapsed().as_secs_f64()
    ));
    wait::until("the end of the Job", DEADLINE, || {
        let status = &Kubectl::new(from).get(&["job", &job])?["status"];
        ensure!(status["succeeded"] == 1, "its status is {status}");
        Ok(())
    })?;
    let log = Kubectl::new(from).run(&["logs", &format!("job/{job}")])?;
    ensure!(log.contains("is primary again"), "the Job said {log}");
    // What the move has left at the target is still to be put back.
    let sides = ["--from", from.name(), "--to", from.other().name()];
    let refused = suite.switchover(cluster, from)?;
    ensure!(
        refused.code == Some(3) && refused.stdout.contains("is not finished"),
        "{refused:?}"
    );
    let aborted = suite.run(&[&["abort", cluster, "--yes"][..], &sides].concat())?;
    ensure!(aborted.code == Some(0), "abort ended with {aborted:?}");
    suite.await_well(cluster, from)?;
    let verdict = writer.judge_within(0, DEADLINE)?;
    ensure!(verdict.holds("one-writer"), "{verdict}");
    let missing = verdict
        .account
        .as_ref()
        .map(|account| account.missing.len());
    ensure!(missing == Some(0), "rows are missing: {verdict}");
    // A move that comes to its end leaves its Job nothing to do.
    let moved = suite.run(&moving(cluster, from))?;
    ensure!(moved.code == Some(0), "the move ended with {moved:?}");
    let second = the_job(cluster, from)?;
    ensure!(second != job, "there is no second Job");
    wait::until("the end of the second Job", DEADLINE, || {
        let log = Kubectl::new(from).run(&["logs", &format!("job/{second}")])?;
        ensure!(log.contains("nothing to do"), "it said {log}");
        Ok(())
    })?;
    suite.await_well(cluster, from.other())
}

fn moving(cluster: &'static str, from: Site) -> Vec<&'static str> {
    let sides = ["--from", from.name(), "--to", from.other().name()];
    let how = ["--yes", "--timeout", TIMEOUT, "-o", "json"];
    let job = ["--deadline-image", IMAGE_PLUGIN];
    [&["switchover", cluster][..], &sides, &how, &job].concat()
}

/// When it died.
fn dies_once_fenced(suite: &Suite, cluster: &'static str, from: Site) -> Result<Instant> {
    let mut move_under_way = suite.start(&moving(cluster, from))?;
    let stdout = move_under_way.stdout.take().context("no stdout")?;
    let mut seen = Vec::new();
    let mut fenced = false;
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        fenced = line.contains(FENCED);
        seen.push(line);
        if fenced {
            break;
        }
    }
    kill(&move_under_way)?;
    let died = Instant::now();
    let ended = pgha_tests::finish(move_under_way)?;
    ensure!(fenced && ended.code.is_none(), "{ended:?} after {seen:?}");
    let named = format!("Job {cluster}-pgha-");
    let told = |line: &String| line.contains(&named) && line.contains("after 60 s");
    ensure!(seen.iter().any(told), "no Job was told of: {seen:?}");
    Ok(died)
}

/// The newest of the Jobs that moves have left at a site.
fn the_job(cluster: &str, site: Site) -> Result<String> {
    let of = format!("pgha.dev/cluster={cluster}");
    let order = "--sort-by=.metadata.creationTimestamp";
    let jobs = Kubectl::new(site).get(&["jobs", "-l", &of, order])?;
    let last = jobs["items"].as_array().and_then(|jobs| jobs.last());
    let name = last.and_then(|job| job["metadata"]["name"].as_str());
    Ok(name.context("there is no Job")?.to_owned())
}

/// The published roles: the Job is an operator.
fn apply_roles(cluster: &str, site: Site) -> Result<()> {
    for file in ["operator.yaml", "deadline.yaml"] {
        Kubectl::new(site).apply(&manifest(file, cluster)?)?;
    }
    Ok(())
}
