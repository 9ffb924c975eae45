//! Found things in, the file out; each is read back by the reader of services' files, as it stands and with every example live.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use pgha_core::surroundings::{Entrance, PoolerPart, WorkloadKind};
use pgha_model::application::AppStep;
use pgha_model::observed::Observed;
use pgha_model::owner::{Owner, OwnerKind};
use pgha_model::site::Place;
use pgha_model::survey::{ClusterObject, Images};

use super::*;
use crate::service::{Service, build, read_text};
use crate::session::Reach;

fn owner(kind: OwnerKind, name: &str) -> Owner {
    Owner::by_sign(kind, None, Some(name.to_owned()), "a sign")
}

fn survey(context: &str) -> SiteSurvey {
    SiteSurvey {
        place: Place {
            context: context.to_owned(),
            namespace: "prod".to_owned(),
            cluster: "zitadel".to_owned(),
        },
        seen_at: Timestamp::UNIX_EPOCH,
        object: ClusterObject {
            operator: "pgo-v5",
            uid: context.to_owned(),
            generation: None,
            standby: false,
            standby_section: None,
            paused: false,
            shutdown: false,
            pause_acknowledged: false,
            owners: Vec::new(),
            pending_switchover: None,
            hidden_standby_section: false,
            requested_backup: None,
            manual_backup: None,
            last_backup: None,
            repos: Vec::new(),
            conditions: Vec::new(),
            system_identifier: Some("7".to_owned()),
            images: Images::default(),
        },
        lock: Observed::unseen("not asked"),
        store: Observed::unseen("not asked"),
        members: Vec::new(),
    }
}

fn workload(kind: WorkloadKind, name: &str, replicas: u32) -> Workload {
    let scales = matches!(kind, WorkloadKind::Deployment | WorkloadKind::StatefulSet);
    Workload {
        kind,
        name: name.to_owned(),
        replicas: scales.then_some(replicas),
        suspended: false,
        uses: vec!["Secret zitadel-pguser-zitadel (env DB of app)".to_owned()],
        pooler: PoolerPart::None,
        owners: Vec::new(),
        reconcile: None,
        labels: BTreeMap::new(),
    }
}

fn deployment(name: &str, replicas: u32) -> Workload {
    workload(WorkloadKind::Deployment, name, replicas)
}

/// Both sites of a case; core1 is primary.
struct Case {
    surveys: [SiteSurvey; 2],
    around: [Surroundings; 2],
    primary: Option<usize>,
}

impl Case {
    fn new(here: Vec<Workload>, there: Vec<Workload>) -> Self {
        let around = |workloads| Surroundings {
            workloads,
            ..Surroundings::default()
        };
        Self {
            surveys: [survey("core1"), survey("core2")],
            around: [around(here), around(there)],
            primary: Some(0),
        }
    }

    /// The same workload at both sites, with as many pods at each.
    fn of(workload: &Workload, replicas: [u32; 2]) -> Self {
        let [here, there] = replicas.map(|count| {
            let replicas = workload.replicas.and(Some(count));
            let workload = workload.clone();
            vec![Workload {
                replicas,
                ..workload
            }]
        });
        Self::new(here, there)
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// The file, which is read back, as is what it says with every example live and its names filled in.
    fn draft(&self) -> (String, Service) {
        let found = |index: usize| Found {
            survey: &self.surveys[index],
            around: &self.around[index],
        };
        let draft = Draft {
            sites: [found(0), found(1)],
            primary: self.primary,
        };
        let text = draft.text();
        let whole = uncommented(&text);
        let said = |failure| panic!("{failure}\n{whole}");
        let service = read_text(&whole).unwrap_or_else(said);
        let built = build(&service, &Reach::none());
        assert!(
            !built
                .unwrap_or_else(|failure| panic!("{failure}\n{whole}"))
                .probes
                .is_empty()
        );
        let said = |failure| panic!("{failure}\n{text}");
        let service = read_text(&text).unwrap_or_else(said);
        assert!(
            service.poolers.is_empty() && service.traffic.is_empty(),
            "{text}"
        );
        (text, service)
    }

    /// The steps that count.
    fn steps(&self) -> Vec<String> {
        let (text, _) = self.draft();
        let lines = text.lines().map(str::trim);
        let steps = lines.filter_map(|line| line.strip_prefix("- "));
        steps
            .filter(|line| !line.starts_with("{ name:"))
            .map(str::to_owned)
            .collect()
    }
}

fn objects_of(service: &Service) -> Vec<String> {
    let objects = service.app.iter().filter_map(AppStep::object);
    objects.map(|it| it.to_string()).collect()
}

/// With every example live. Objects cannot be called `NAME`.
fn uncommented(text: &str) -> String {
    let line = |line: &str| {
        let bare = line.trim_start();
        let indent = &line[..line.len() - bare.len()];
        match bare.strip_prefix('#') {
            Some(example) if !example.starts_with(' ') => format!("{indent}{example}\n"),
            _ => format!("{line}\n"),
        }
    };
    text.lines()
        .map(line)
        .collect::<String>()
        .replace("/NAME", "/name")
}

fn scale(object: &str) -> String {
    format!("scale: {{ object: {object} }}")
}

#[test]
fn a_workload_that_runs_at_one_site_is_a_step() {
    let case = Case::of(&deployment("zitadel", 0), [2, 0]);
    assert_eq!(case.steps(), [scale("deployment/zitadel")]);
    let (text, service) = case.draft();
    assert_eq!(service.name, "zitadel");
    let sites: Vec<_> = service
        .sites
        .iter()
        .map(|it| {
            (
                it.name.as_str(),
                it.context.as_str(),
                it.namespace.as_deref(),
            )
        })
        .collect();
    assert_eq!(
        sites,
        [
            ("core1", "core1", Some("prod")),
            ("core2", "core2", Some("prod"))
        ]
    );
    let objects = objects_of(&service);
    assert_eq!(objects, ["deployment/zitadel"]);
    for said in [
        "deployment/zitadel: Secret zitadel-pguser-zitadel (env DB of app).",
        "It is to have 2 pods at core1 and 0 at core2",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    let none = Case::of(&deployment("zitadel", 0), [0, 0]);
    assert_eq!(none.steps(), [scale("deployment/zitadel")]);
    assert!(
        none.draft()
            .0
            .contains("a move starts none, unless `count` says how many")
    );
}

#[test]
fn what_is_not_certain_is_an_example() {
    let zitadel = deployment("zitadel", 0);
    let beside = Workload {
        pooler: PoolerPart::Beside,
        ..zitadel.clone()
    };
    for (case, words) in [
        (
            Case::new(vec![zitadel.clone()], Vec::new()),
            "Only core1 has it",
        ),
        (
            Case::new(Vec::new(), vec![zitadel.clone()]),
            "Only core2 has it",
        ),
        (
            Case::of(&zitadel, [2, 2]),
            "may be meant to run at both sites",
        ),
        (
            Case::of(&zitadel, [0, 2]),
            "may be meant to run at both sites",
        ),
        (Case::of(&beside, [2, 0]), "is a pooler by its image"),
        (
            Case::of(&workload(WorkloadKind::Job, "setup", 0), [0, 0]),
            "If it is to run anew",
        ),
        (
            Case::new(vec![workload(WorkloadKind::Job, "setup", 0)], Vec::new()),
            "entering core2 would wait for it",
        ),
        (
            Case::of(&workload(WorkloadKind::CronJob, "report", 0), [0, 0]),
            "It runs at core1 and core2. No step suspends a CronJob",
        ),
    ] {
        assert_eq!(case.steps(), [""; 0], "{words}");
        let text = case.draft().0;
        let prose = text.split_whitespace().filter(|word| *word != "#");
        let prose: Vec<&str> = prose.collect();
        assert!(prose.join(" ").contains(words), "{words}: {text}");
        assert!(!text.contains("\n  app:"), "{text}");
    }
    let swapped = Case::of(&zitadel, [0, 2]).with(|case| case.primary = Some(1));
    assert_eq!(swapped.steps(), [scale("deployment/zitadel")]);
    let unseen = Case::of(&zitadel, [0, 2]).with(|case| case.primary = None);
    assert_eq!(unseen.steps(), [scale("deployment/zitadel")]);
    assert!(
        unseen
            .draft()
            .0
            .contains("Which site is primary was not seen")
    );
}

#[test]
fn steps_come_by_kind() {
    let all = vec![
        workload(WorkloadKind::Job, "setup", 0),
        workload(WorkloadKind::StatefulSet, "queue", 0),
        deployment("api", 0),
        deployment("zitadel", 0),
        workload(WorkloadKind::CronJob, "report", 0),
    ];
    let case = Case::new(all.clone(), all);
    let steps = ["statefulset/queue", "deployment/api", "deployment/zitadel"].map(scale);
    assert_eq!(case.steps(), steps);
    let text = case.draft().0;
    let places = ["#- job:", "- scale:", "cronjob/report:"].map(|word| text.find(word));
    assert!(
        places.is_sorted() && places.iter().all(Option::is_some),
        "{text}"
    );
}

/// As the sites have it, so it is to be after a move.
#[test]
fn an_annotation_that_differs_is_a_step() {
    let zitadel = deployment("zitadel", 2);
    let held = Workload {
        reconcile: Some("disabled".to_owned()),
        ..deployment("zitadel", 0)
    };
    let annotate = "annotate: { object: deployment/zitadel, key: kustomize.toolkit.fluxcd.io/reconcile, standby: disabled }";
    let case = Case::new(vec![zitadel.clone()], vec![held.clone()]);
    assert_eq!(
        case.steps(),
        [scale("deployment/zitadel"), annotate.to_owned()]
    );
    let other =
        Case::new(vec![held.clone()], vec![zitadel.clone()]).with(|case| case.primary = Some(1));
    assert_eq!(
        other.steps(),
        [scale("deployment/zitadel"), annotate.to_owned()]
    );
    let enabled = Workload {
        reconcile: Some("enabled".to_owned()),
        ..zitadel.clone()
    };
    let both = Case::new(vec![enabled], vec![held.clone()]);
    assert!(both.steps()[1].contains("primary: enabled, standby: disabled"));
    let unseen = Case::new(vec![zitadel], vec![held]).with(|case| case.primary = None);
    assert_eq!(unseen.steps(), [scale("deployment/zitadel")]);
}

#[test]
fn who_else_writes_is_told_with_what_to_do() {
    let zitadel = Workload {
        owners: vec![
            owner(OwnerKind::FluxKustomization, "flux-system/apps"),
            owner(OwnerKind::FluxKustomization, "flux-system/twice"),
            owner(OwnerKind::HelmRelease, "prod/x"),
        ],
        ..deployment("zitadel", 0)
    };
    let case = Case::of(&zitadel, [1, 0]).with(|case| {
        case.surveys[1].object.owners = vec![owner(OwnerKind::ArgoCdApplication, "databases")];
        case.surveys[0].object.system_identifier = None;
        case.around[0].unread = vec!["`core1` does not permit you to list jobs".to_owned()];
    });
    assert_eq!(case.steps(), [scale("deployment/zitadel")]);
    let text = case.draft().0;
    for said in [
        "At core2 the cluster's object is written by Argo CD application databases too",
        "core1 did not say its system identifier",
        "Could not be looked at, and may have more to name: `core1` does not permit you to list jobs.",
        "Flux Kustomization flux-system/apps writes it too",
        "#- annotate: { object: deployment/zitadel, key: kustomize.toolkit.fluxcd.io/reconcile, standby: disabled }",
        "Helm release prod/x writes it too",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
}

#[test]
fn poolers_are_examples_and_the_operators_own_is_none() {
    let edge = Workload {
        pooler: PoolerPart::Whole,
        ..deployment("edge", 0)
    };
    let blind = Workload {
        uses: Vec::new(),
        name: "blind".to_owned(),
        ..edge.clone()
    };
    let both = vec![blind, edge];
    let case = Case::new(both.clone(), both).with(|case| {
        case.around[0].operators_pooler = Some("zitadel-pgbouncer".to_owned());
    });
    assert_eq!(case.steps(), [""; 0]);
    let text = case.draft().0;
    for said in [
        "zitadel-pgbouncer is the operator's own pooler, which cannot be paused",
        "deployment/blind: to which database it leads was not seen.",
        "    #- name: edge\n      #address: HOST:6432\n",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    let poolers = read_text(&uncommented(&text)).unwrap().poolers;
    assert_eq!(
        poolers
            .iter()
            .map(pgha_pgbouncer::Pooler::name)
            .collect::<Vec<_>>(),
        ["blind", "edge"]
    );
}

fn entrance(host: &str, object: &str) -> Entrance {
    Entrance {
        host: host.to_owned(),
        is_tls: true,
        object: object.to_owned(),
        service: "login".to_owned(),
        workloads: BTreeSet::from(["deployment/zitadel".to_owned()]),
    }
}

#[test]
fn hosts_are_examples_of_probes() {
    let case = Case::of(&deployment("zitadel", 0), [1, 0]).with(|case| {
        let plain = Entrance {
            is_tls: false,
            ..entrance("plain.example.org", "Ingress plain")
        };
        case.around[0].entrances = vec![
            entrance("", "Ingress any"),
            entrance("*.example.org", "TLSRoute all"),
            entrance("login.example.org", "Ingress login"),
            entrance("login-example.org", "HTTPRoute login"),
            plain,
        ];
        case.around[1].entrances = vec![entrance("login.example.org", "Ingress login")];
    });
    let text = case.draft().0;
    let prose = text.replace("\n  # ", " ");
    for said in [
        "Users come in by login.example.org (Ingress login at core1: service/login, deployment/zitadel; Ingress login at core2",
        "Users come in by whatever host they name (Ingress any",
        "Users come in by *.example.org (TLSRoute all",
        "#url: \"https://login.example.org/\"",
        "#url: \"http://plain.example.org/\"",
        "#url: \"https://HOST/\"",
        "#route: login-example-org-2\n",
    ] {
        assert!(
            prose.contains(said) || text.contains(said),
            "{said}: {text}"
        );
    }
    let traffic = read_text(&uncommented(&text)).unwrap().traffic;
    assert_eq!(
        traffic.len(),
        6,
        "one that moves them and a probe for each host"
    );
}

/// Nothing of a cluster's or of a kubeconfig's can begin a line, end a comment or a scalar, or steer a terminal.
#[test]
fn hostile_names_stay_within_their_place() {
    let names = [
        "x\n  app: [{ scale: { object: deployment/forged } }]",
        "x: y",
        "x #y",
        "\" }, { name: forged",
        "}\r\n- forged",
        "\u{1b}[2J\u{9b}31m\u{7}\u{202e}\u{2028}forged",
        "&a *a !!binary |",
        "---\n...",
        "{site}",
        "",
        "\u{feff}\u{0}",
        "true",
        "0x10",
    ];
    for name in names {
        let hostile = Workload {
            uses: vec![name.to_owned()],
            owners: vec![owner(OwnerKind::FluxKustomization, name)],
            reconcile: Some(name.to_owned()),
            ..deployment("zitadel", 0)
        };
        let unnamed = Workload {
            name: name.to_owned(),
            ..hostile.clone()
        };
        let pooler = Workload {
            pooler: PoolerPart::Whole,
            ..unnamed.clone()
        };
        let found = vec![hostile, unnamed, pooler];
        let case = Case::new(found.clone(), found).with(|case| {
            for (survey, end) in case.surveys.iter_mut().zip(["1", "2"]) {
                survey.place.context = format!("{name}{end}");
                survey.place.namespace = name.to_owned();
                survey.place.cluster = name.to_owned();
                survey.object.owners = vec![owner(OwnerKind::Controller, name)];
            }
            for around in &mut case.around {
                around.entrances = vec![entrance(name, name)];
                around.unread = vec![name.to_owned()];
                around.operators_pooler = Some(name.to_owned());
            }
        });
        let (text, service) = case.draft();
        let is_harmful = |c: char| {
            (c.is_control() && c != '\n') || matches!(c, '\u{202e}' | '\u{2028}' | '\u{feff}')
        };
        assert!(!text.contains(is_harmful), "{text:?}");
        let contexts: Vec<_> = service.sites.iter().map(|it| it.context.clone()).collect();
        assert_eq!(contexts, [format!("{name}1"), format!("{name}2")], "{text}");
        assert_eq!(service.sites[0].cluster, name, "{text}");
        assert_eq!(service.sites[0].namespace.as_deref(), Some(name), "{text}");
        let objects = objects_of(&service);
        let forged = objects.iter().any(|object| object.contains("forged"));
        assert!(
            objects.contains(&"deployment/zitadel".to_owned()) && !forged,
            "{text}"
        );
    }
}

/// A namespace of thousands makes a file that a person can read, and that its reader takes.
#[test]
fn a_flood_is_cut_and_told() {
    let many = |pooler| {
        let names = (0..3000).map(|number| format!("{}-{number:04}", "a".repeat(200)));
        let flood = |name: &str| Workload {
            pooler,
            owners: vec![owner(OwnerKind::Controller, &"x".repeat(1 << 12))],
            ..deployment(name, 0)
        };
        names.map(|name| flood(&name)).collect::<Vec<_>>()
    };
    let hosts =
        (0..3000).map(|number| entrance(&format!("h{number}.example.org"), &"x".repeat(1 << 12)));
    let hosts: Vec<_> = hosts.collect();
    for pooler in [PoolerPart::None, PoolerPart::Whole] {
        let case = Case::new(many(pooler), many(pooler))
            .with(|case| case.around[0].entrances = hosts.clone());
        let text = case.draft().0;
        assert!(text.len() < 400_000, "{}", text.len());
        assert_eq!(text.matches("2900 more").count(), 2, "{text}");
    }
}

#[test]
fn a_name_of_a_service_is_made_where_the_clusters_is_none() {
    for (cluster, name) in [
        ("zitadel", "zitadel"),
        ("Zitadel.prod", "itadel-prod"),
        ("", "service"),
        ("--", "service"),
        ("-a_", "a"),
    ] {
        assert_eq!(service_name(cluster), name);
    }
    assert_eq!(service_name(&"a".repeat(90)).len(), 63);
}
