use super::*;

/// A ledger written by hand: two probes, one a site.
#[derive(Clone)]
pub(crate) struct Script {
    lines: Vec<String>,
    seq: u64,
}

impl Script {
    pub(crate) fn begin() -> Self {
        let mut script = Self {
            lines: Vec::new(),
            seq: 0,
        };
        script.push(&Record::Start {
            format: FORMAT,
            run: "r1".into(),
            wall_us: 0,
        });
        for (lane, site, server) in [(1, "core1", "10.101.128.5"), (2, "core2", "10.102.128.5")] {
            script.lane(lane, Purpose::Probe, site, server);
        }
        script
    }

    pub(crate) fn lane(&mut self, lane: u32, purpose: Purpose, site: &str, server: &str) {
        self.push(&Record::Lane {
            lane,
            purpose,
            site: site.into(),
            address: format!("{site}:5432"),
        });
        let (server, started) = (server.to_owned(), "then".to_owned());
        self.push(&Record::Up {
            at_us: 0,
            lane,
            server,
            started,
            in_recovery: lane == 2,
        });
    }

    pub(crate) fn push(&mut self, record: &Record) {
        self.lines.push(serde_json::to_string(record).unwrap());
    }

    /// A row that is acknowledged 1 ms after it was sent.
    pub(crate) fn ack(&mut self, lane: u32, at_ms: u64, tli: TimelineId) -> RowId {
        self.seq += 1;
        let seq = self.seq;
        self.push(&Record::Try {
            at_us: at_ms * 1000,
            lane,
            seq,
        });
        self.push(&Record::Ack {
            at_us: at_ms * 1000 + 1000,
            lane,
            seq,
            tli,
            lsn: Lsn(at_ms),
        });
        RowId { lane, seq }
    }

    pub(crate) fn refused(&mut self, lane: u32, at_ms: u64) -> RowId {
        self.seq += 1;
        let seq = self.seq;
        self.push(&Record::Try {
            at_us: at_ms * 1000,
            lane,
            seq,
        });
        self.push(&Record::No {
            at_us: at_ms * 1000,
            lane,
            seq,
            code: "25006".into(),
        });
        RowId { lane, seq }
    }

    pub(crate) fn lost(&mut self, lane: u32, at_ms: u64) -> RowId {
        self.seq += 1;
        let seq = self.seq;
        self.push(&Record::Try {
            at_us: at_ms * 1000,
            lane,
            seq,
        });
        self.push(&Record::Lost {
            at_us: at_ms * 1000,
            lane,
            seq,
            why: "closed".into(),
        });
        RowId { lane, seq }
    }

    pub(crate) fn beat(&mut self, at_ms: u64) {
        let wall_us = i64::try_from(at_ms * 1000).unwrap();
        self.push(&Record::Beat {
            at_us: at_ms * 1000,
            wall_us,
        });
    }

    pub(crate) fn end(&mut self, at_ms: u64) {
        self.push(&Record::End {
            at_us: at_ms * 1000,
        });
    }

    pub(crate) fn text(&self) -> String {
        self.lines.join("\n") + "\n"
    }

    pub(crate) fn ledger(&self) -> Ledger {
        Ledger::parse(&self.text()).unwrap()
    }
}

#[test]
fn each_row_has_the_fate_that_was_written_last() {
    let mut script = Script::begin();
    let (kept, refused, lost) = (
        script.ack(1, 5, 1),
        script.refused(2, 10),
        script.lost(1, 15),
    );
    let ledger = script.ledger();
    let fates: Vec<_> = ledger
        .rows
        .iter()
        .map(|row| (row.id, &row.outcome))
        .collect();
    let acknowledged = Outcome::Acknowledged {
        at_us: 6000,
        server: 0,
        timeline: 1,
        lsn: Lsn(5),
    };
    let no = Outcome::Refused {
        code: "25006".into(),
    };
    assert_eq!(
        fates,
        [
            (kept, &acknowledged),
            (refused, &no),
            (lost, &Outcome::Unknown)
        ]
    );
    assert_eq!(
        ledger.servers[0],
        Server {
            site: "core1".into(),
            address: "10.101.128.5".into()
        }
    );
    assert!(ledger.faults.is_empty());
}

#[test]
fn a_row_without_an_answer_is_unknown() {
    let mut script = Script::begin();
    script.push(&Record::Try {
        at_us: 1,
        lane: 1,
        seq: 9,
    });
    assert_eq!(script.ledger().rows[0].outcome, Outcome::Unknown);
}

#[test]
fn a_last_line_cut_short_is_remembered_and_any_other_is_an_error() {
    let whole = Script::begin().text();
    assert!(
        Ledger::parse(&format!("{whole}{{\"k\":\"tr"))
            .unwrap()
            .is_torn
    );
    let error = Ledger::parse(&format!("{whole}{{\"k\":\"tr\n{{}}\n")).unwrap_err();
    assert!(
        matches!(error, LedgerError::Line { number: 6, .. }),
        "{error}"
    );
}

#[test]
fn a_ledger_without_a_beginning_or_of_another_format_is_refused() {
    assert_eq!(Ledger::parse(""), Err(LedgerError::NoStart));
    assert_eq!(
        Ledger::parse("{\"k\":\"end\",\"at_us\":1}\n"),
        Err(LedgerError::NoStart)
    );
    let later = "{\"k\":\"start\",\"format\":2,\"run\":\"r\",\"wall_us\":0}\n";
    assert_eq!(Ledger::parse(later), Err(LedgerError::Format(2)));
}

#[test]
fn contradictions_are_faults() {
    let mut script = Script::begin();
    script.push(&Record::Try {
        at_us: 10,
        lane: 1,
        seq: 1,
    });
    script.push(&Record::Try {
        at_us: 9,
        lane: 1,
        seq: 1,
    });
    script.push(&Record::No {
        at_us: 10,
        lane: 1,
        seq: 7,
        code: "25006".into(),
    });
    script.push(&Record::Up {
        at_us: 10,
        lane: 8,
        server: "x".into(),
        started: String::new(),
        in_recovery: true,
    });
    script.push(&Record::Down {
        at_us: 11,
        lane: 1,
        why: "closed".into(),
    });
    script.push(&Record::Ack {
        at_us: 12,
        lane: 1,
        seq: 1,
        tli: 1,
        lsn: Lsn(1),
    });
    assert_eq!(
        script.ledger().faults,
        [
            "the clock went back from 10 to 9 µs",
            "row 1/1 was tried twice",
            "row 1/7 was answered but never tried",
            "lane 8 connected before it was named",
            "row 1/1 was acknowledged on a lane that was not connected",
        ]
    );
}
