//! What the arguments, the environment and the defaults come to: flag over environment over default.
//!
//! This is the only file that reads the environment, and it lists every variable.

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum as _;
#[cfg(debug_assertions)]
use pgha_core::client::Failpoint;
use pgha_core::client::{
    DEFAULT_REQUEST_TIMEOUT, EnvironmentProxy, KubeconfigSource, Kuberc, KubercSource,
};
#[cfg(feature = "aws")]
use pgha_nlb_aws::Keys;

use crate::args::{ColorChoice, CommonArgs, Format};
use crate::failure::Failure;

/// What requests to AWS may be signed with.
#[cfg(feature = "aws")]
#[derive(Clone, Debug, Default)]
pub(crate) struct Aws {
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`.
    pub(crate) keys: Option<Keys>,
    /// `AWS_SHARED_CREDENTIALS_FILE` [default: `.aws/credentials` in the home folder].
    pub(crate) credentials_file: Option<PathBuf>,
}

#[cfg(feature = "aws")]
impl Aws {
    fn of(text: impl Fn(&str) -> Option<String>, home: Option<PathBuf>) -> Self {
        let key = text("AWS_ACCESS_KEY_ID").zip(text("AWS_SECRET_ACCESS_KEY"));
        let token = text("AWS_SESSION_TOKEN").map(Into::into);
        let named = text("AWS_SHARED_CREDENTIALS_FILE").map(PathBuf::from);
        Self {
            keys: key.map(|(id, secret)| Keys {
                id,
                secret: secret.into(),
                token,
            }),
            credentials_file: named.or_else(|| Some(home?.join(".aws/credentials"))),
        }
    }
}

/// The environment as the process found it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment {
    /// `KUBECONFIG`: kubeconfig files, separated as in `PATH`.
    kubeconfig: Option<OsString>,
    /// `KUBERNETES_SERVICE_HOST` and `KUBERNETES_SERVICE_PORT`, which Kubernetes gives to every pod.
    pod_server: Option<(String, String)>,
    /// The home folder, for `.kube/config` and `.kube/kuberc` in it.
    home: Option<PathBuf>,
    /// `KUBERC`: the file with kubectl's preferences, or `off`.
    kuberc: Option<OsString>,
    /// `KUBECTL_KUBERC` is `false`: kubectl's switch for the same.
    no_kuberc: bool,
    /// `PATH`, in which the programs of a kubeconfig are looked for.
    path: Option<OsString>,
    /// `XDG_STATE_HOME` (XDG Base Directory Specification).
    state_home: Option<OsString>,
    /// `HTTPS_PROXY` and `NO_PROXY`, or the same in small letters (Go `net/http/httpproxy`, `FromEnvironment`).
    proxy: EnvironmentProxy,
    /// `PGHA_REQUEST_TIMEOUT`.
    request_timeout: Option<String>,
    /// `PGHA_COLOR`.
    color: Option<String>,
    /// `PGHA_LOG`: a filter of log lines, as `tracing_subscriber::EnvFilter` reads it.
    log: Option<String>,
    /// `NO_COLOR`: set to anything but nothing (no-color.org).
    no_color: bool,
    /// `TERM` is `dumb`: a terminal that understands no escapes.
    dumb_terminal: bool,
    /// `PGHA_TEST_DIE_AT`: at which write a test has this process die, `3:after`.
    #[cfg(debug_assertions)]
    die_at: Option<String>,
    /// What AWS' own programs read too.
    #[cfg(feature = "aws")]
    aws: Aws,
    /// `PGHA_COMPLETE`: the shell whose completion script calls.
    pub(crate) completing_shell: Option<String>,
}

impl Environment {
    /// Reads every variable that means something to pgha.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one function that reads the environment"
    )]
    pub(crate) fn read() -> Self {
        let text = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        Self {
            kubeconfig: std::env::var_os("KUBECONFIG").filter(|list| !list.is_empty()),
            pod_server: text("KUBERNETES_SERVICE_HOST").zip(text("KUBERNETES_SERVICE_PORT")),
            home: std::env::home_dir(),
            kuberc: std::env::var_os("KUBERC").filter(|file| !file.is_empty()),
            no_kuberc: text("KUBECTL_KUBERC").as_deref() == Some("false"),
            path: std::env::var_os("PATH"),
            state_home: std::env::var_os("XDG_STATE_HOME").filter(|folder| !folder.is_empty()),
            proxy: EnvironmentProxy {
                url: text("HTTPS_PROXY").or_else(|| text("https_proxy")),
                exceptions: text("NO_PROXY")
                    .or_else(|| text("no_proxy"))
                    .unwrap_or_default(),
            },
            request_timeout: text("PGHA_REQUEST_TIMEOUT"),
            color: text("PGHA_COLOR"),
            log: text("PGHA_LOG"),
            no_color: text("NO_COLOR").is_some(),
            dumb_terminal: text("TERM").as_deref() == Some("dumb"),
            #[cfg(debug_assertions)]
            die_at: text("PGHA_TEST_DIE_AT"),
            #[cfg(feature = "aws")]
            aws: Aws::of(text, std::env::home_dir()),
            completing_shell: text("PGHA_COMPLETE"),
        }
    }
}

/// What one command works with.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Where the kubeconfig is.
    pub(crate) kubeconfig: KubeconfigSource,
    /// Which programs a kubeconfig may start.
    pub(crate) kuberc: Kuberc,
    /// The environment's proxy.
    pub(crate) proxy: EnvironmentProxy,
    /// The namespace, when one was named.
    pub(crate) namespace: Option<String>,
    /// How long one request may take.
    pub(crate) request_timeout: Duration,
    /// Where files of this program are kept from one run to the next; `None` without a home folder.
    pub(crate) state_folder: Option<PathBuf>,
    /// How the result is printed.
    pub(crate) format: Format,
    /// Whether stdout is coloured.
    pub(crate) color_stdout: bool,
    /// Whether stderr is coloured.
    pub(crate) color_stderr: bool,
    /// Whether stdout is a terminal that can be redrawn.
    pub(crate) can_redraw: bool,
    /// Which log lines go to stderr; `None` for none.
    pub(crate) log: Option<String>,
    /// What requests to AWS may be signed with.
    #[cfg(feature = "aws")]
    pub(crate) aws: Aws,
    /// At which write a test has this process die.
    #[cfg(debug_assertions)]
    pub(crate) die_at: Option<Failpoint>,
}

impl Settings {
    /// Settles everything but the format, which is known even when this fails.
    pub(crate) fn settle(
        CommonArgs { site, output }: &CommonArgs,
        environment: &Environment,
    ) -> Result<Self, Failure> {
        let color = match (output.color, &environment.color) {
            (Some(choice), _) => choice,
            (None, Some(text)) => ColorChoice::from_str(text, true)
                .map_err(|_| unreadable("PGHA_COLOR", text, "auto, always or never"))?,
            (None, None) => ColorChoice::Auto,
        };
        let can_escape = |is_terminal: bool| is_terminal && !environment.dumb_terminal;
        let stdout = can_escape(std::io::stdout().is_terminal());
        let stderr = can_escape(std::io::stderr().is_terminal());
        let is_coloured = |can_escape: bool| match color {
            ColorChoice::Auto => can_escape && !environment.no_color,
            ColorChoice::Always => true,
            ColorChoice::Never => false,
        };
        Ok(Self {
            kubeconfig: kubeconfig(
                site.kubeconfig.as_deref(),
                environment,
                Path::new(POD_FOLDER),
            ),
            kuberc: kuberc(environment),
            proxy: environment.proxy.clone(),
            namespace: site.namespace.clone(),
            request_timeout: request_timeout(site.request_timeout, environment)?,
            state_folder: state_folder(environment),
            format: output.output,
            color_stdout: is_coloured(stdout),
            color_stderr: is_coloured(stderr),
            can_redraw: stdout,
            log: log_filter(output.verbose, environment),
            #[cfg(feature = "aws")]
            aws: environment.aws.clone(),
            #[cfg(debug_assertions)]
            die_at: die_at(environment)?,
        })
    }
}

#[cfg(debug_assertions)]
fn die_at(environment: &Environment) -> Result<Option<Failpoint>, Failure> {
    let Some(text) = &environment.die_at else {
        return Ok(None);
    };
    let point = text.parse();
    let point = point.map_err(|_| unreadable("PGHA_TEST_DIE_AT", text, "like 3:after"))?;
    Ok(Some(point))
}

/// Where a pod finds its account (client-go `rest/config.go`, `InClusterConfig`).
const POD_FOLDER: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// As kubectl finds it: the flag, the variable, the file in the home folder; in a pod without any of them, the pod's account.
fn kubeconfig(flag: Option<&Path>, environment: &Environment, pod: &Path) -> KubeconfigSource {
    if let Some(path) = flag {
        return KubeconfigSource::Flag(path.to_owned());
    }
    if let Some(list) = &environment.kubeconfig {
        let paths = std::env::split_paths(list).filter(|path| !path.as_os_str().is_empty());
        return KubeconfigSource::List(paths.collect());
    }
    let home = environment.home.clone().unwrap_or_default();
    let file = home.join(".kube").join("config");
    match &environment.pod_server {
        Some((host, port)) if !file.exists() && pod.join("token").exists() => {
            let host = if host.contains(':') {
                format!("[{host}]")
            } else {
                host.clone()
            };
            KubeconfigSource::Pod {
                server: format!("https://{host}:{port}"),
                folder: pod.to_owned(),
            }
        }
        _ => KubeconfigSource::Home(file),
    }
}

/// As kubectl finds it (`kubectl/pkg/kuberc`); it has a flag for it too, which its plugins do not see.
fn kuberc(environment: &Environment) -> Kuberc {
    let path = environment.path.as_deref().unwrap_or_default();
    let source = match &environment.kuberc {
        _ if environment.no_kuberc => KubercSource::Off,
        Some(file) if file == "off" => KubercSource::Off,
        Some(file) => KubercSource::Named(file.into()),
        None => {
            let home = environment.home.clone().unwrap_or_default();
            KubercSource::Home(home.join(".kube").join("kuberc"))
        }
    };
    Kuberc {
        source,
        search: std::env::split_paths(path).collect(),
    }
}

/// As the XDG Base Directory Specification has it: a relative path counts as none.
fn state_folder(environment: &Environment) -> Option<PathBuf> {
    let named = environment.state_home.as_ref().map(PathBuf::from);
    let folder = named.filter(|folder| folder.is_absolute());
    let home = environment.home.as_ref();
    let folder = folder.or_else(|| Some(home?.join(".local/state")))?;
    Some(folder.join("pgha"))
}

fn request_timeout(
    flag: Option<RequestTimeout>,
    environment: &Environment,
) -> Result<Duration, Failure> {
    if let Some(RequestTimeout(limit)) = flag {
        return Ok(limit);
    }
    let Some(text) = &environment.request_timeout else {
        return Ok(DEFAULT_REQUEST_TIMEOUT);
    };
    let RequestTimeout(limit) = text.parse().map_err(|_| {
        unreadable(
            "PGHA_REQUEST_TIMEOUT",
            text,
            "a duration like 5s, 1m30s or 0",
        )
    })?;
    Ok(limit)
}

fn log_filter(verbose: u8, environment: &Environment) -> Option<String> {
    environment.log.clone().or(match verbose {
        0 => None,
        1 => Some("kubectl_pgha=info,pgha_core=info".to_owned()),
        2 => Some("kubectl_pgha=debug,pgha_core=debug,kube=info".to_owned()),
        _ => Some("debug".to_owned()),
    })
}

fn unreadable(variable: &str, text: &str, expected: &str) -> Failure {
    Failure::usage(format!(
        "the environment has {variable}={}, which is not {expected}",
        text.escape_debug()
    ))
}

/// A duration as kubectl's `--request-timeout` takes it: Go's syntax, or whole seconds; 0 is no limit
/// (client-go `tools/clientcmd`, `ParseTimeout`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestTimeout(pub(crate) Duration);

impl FromStr for RequestTimeout {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let limit = match text.parse::<u64>() {
            Ok(seconds) => Duration::from_secs(seconds),
            Err(_) => go_duration(text).ok_or("not a duration like 5s, 1m30s or 0")?,
        };
        Ok(Self(if limit.is_zero() {
            Duration::MAX
        } else {
            limit
        }))
    }
}

/// Reads Go's `time.ParseDuration`: numbers with fractions, each with a unit.
pub(crate) fn go_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(end);
        let end = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let unit = match unit {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * unit;
        rest = tail;
    }
    if text.is_empty() {
        return None;
    }
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeout(text: &str) -> Option<Duration> {
        text.parse::<RequestTimeout>().ok().map(|limit| limit.0)
    }

    #[test]
    fn a_request_timeout_is_kubectls() {
        assert_eq!(timeout("0"), Some(Duration::MAX));
        assert_eq!(timeout("0s"), Some(Duration::MAX));
        assert_eq!(timeout("7"), Some(Duration::from_secs(7)));
        assert_eq!(timeout("1m30s"), Some(Duration::from_secs(90)));
        assert_eq!(timeout("1.5h"), Some(Duration::from_mins(90)));
        assert_eq!(timeout("250ms"), Some(Duration::from_millis(250)));
        for text in ["", "s", "5x", "-5s", "1m30", "five", "1..2s", "1e400s"] {
            assert_eq!(timeout(text), None, "{text:?}");
        }
    }

    #[test]
    fn the_flag_wins_over_the_list_over_the_home_folder() {
        let environment = Environment {
            kubeconfig: Some("/a::/b".into()),
            home: Some("/home/jane".into()),
            ..Environment::default()
        };
        let nowhere = Path::new("/nowhere");
        let flag = kubeconfig(Some(Path::new("/c")), &environment, nowhere);
        assert_eq!(flag, KubeconfigSource::Flag("/c".into()));
        assert_eq!(
            kubeconfig(None, &environment, nowhere),
            KubeconfigSource::List(vec!["/a".into(), "/b".into()])
        );
        let home = Environment {
            kubeconfig: None,
            ..environment
        };
        assert_eq!(
            kubeconfig(None, &home, nowhere),
            KubeconfigSource::Home("/home/jane/.kube/config".into())
        );
    }

    #[test]
    fn a_pod_without_a_kubeconfig_uses_its_account() {
        let folder = tempfile::tempdir().unwrap();
        let environment = Environment {
            pod_server: Some(("fd00::1".to_owned(), "443".to_owned())),
            home: Some(folder.path().to_owned()),
            ..Environment::default()
        };
        let home = KubeconfigSource::Home(folder.path().join(".kube/config"));
        assert_eq!(kubeconfig(None, &environment, folder.path()), home);
        for (file, text) in [("token", "t"), ("namespace", "prod\n")] {
            std::fs::write(folder.path().join(file), text).unwrap();
        }
        let source = kubeconfig(None, &environment, folder.path());
        let pod = KubeconfigSource::Pod {
            server: "https://[fd00::1]:443".to_owned(),
            folder: folder.path().to_owned(),
        };
        assert_eq!(source, pod);
        let read = pgha_core::client::Kubeconfig::read(&source).unwrap();
        assert_eq!(read.current_context(), Some("in-cluster"));
        std::fs::create_dir(folder.path().join(".kube")).unwrap();
        std::fs::write(folder.path().join(".kube/config"), "").unwrap();
        assert_eq!(kubeconfig(None, &environment, folder.path()), home);
    }

    #[test]
    fn a_variable_that_means_nothing_is_named() {
        let environment = Environment {
            request_timeout: Some("soon".to_owned()),
            ..Environment::default()
        };
        let failure = request_timeout(None, &environment).unwrap_err();
        assert!(failure.to_string().contains("PGHA_REQUEST_TIMEOUT=soon"));
        let limit = RequestTimeout(Duration::from_secs(1));
        assert_eq!(
            request_timeout(Some(limit), &environment).unwrap(),
            Duration::from_secs(1)
        );
    }

    #[cfg(feature = "aws")]
    #[test]
    fn a_key_of_aws_is_there_with_its_secret_or_not_at_all() {
        let of = |pairs: &'static [(&str, &str)]| {
            let text = |name: &str| {
                let pair = pairs.iter().find(|(own, _)| *own == name);
                pair.map(|(_, value)| (*value).to_owned())
            };
            Aws::of(text, Some("/home/me".into()))
        };
        let whole = of(&[
            ("AWS_ACCESS_KEY_ID", "AKID"),
            ("AWS_SECRET_ACCESS_KEY", "s3cret"),
            ("AWS_SESSION_TOKEN", "t0ken"),
        ]);
        assert_eq!(whole.keys.as_ref().unwrap().id, "AKID");
        assert!(whole.keys.as_ref().unwrap().token.is_some());
        let told = format!("{whole:?}");
        assert!(
            !told.contains("s3cret") && !told.contains("t0ken"),
            "{told}"
        );
        let file = |aws: Aws| aws.credentials_file.unwrap();
        assert_eq!(file(whole), Path::new("/home/me/.aws/credentials"));
        let half = of(&[
            ("AWS_ACCESS_KEY_ID", "AKID"),
            ("AWS_SHARED_CREDENTIALS_FILE", "/etc/keys"),
        ]);
        assert!(half.keys.is_none());
        assert_eq!(file(half), Path::new("/etc/keys"));
    }
}
