//! One BIG-IP, and what is asked of it by one user.

use std::time::Duration;

use http::{HeaderName, Method};
use pgha_model::effect::Effect;
use pgha_nlb::{CutoverError, Problem, Written};
use pgha_wire::{Api, Auth, Kind, Question};
use serde_json::{Value, json};

use crate::Settings;

const KIND: Kind = Kind {
    name: "iControl REST",
    what: "object",
    largest: 4 * 1024 * 1024,
    said: |answer| answer["message"].as_str().map(str::to_owned),
    key: "Put the user's password into a file that only you may read.",
    reach: "See that this machine reaches the BIG-IP's management, and that its certificate is trusted here.",
    denied: "See that `user`, `passwordFile` and `loginProvider` are right, and that the user's role may change GTM objects.",
    missing: "Correct the routes in the service's file, or `url`.",
};

const TOKEN: HeaderName = HeaderName::from_static("x-f5-auth-token");
const TRANSACTION: HeaderName = HeaderName::from_static("x-f5-rest-coordination-id");

/// One BIG-IP.
#[derive(Clone, Debug)]
pub(crate) struct Unit {
    pub(crate) api: Api,
    user: String,
    provider: String,
}

/// Who asks, by a token. It is to be ended: a user may have 100 of them, and each lasts 20 minutes.
pub(crate) struct Session<'a> {
    api: &'a Api,
    token: String,
    tried: &'static str,
    within: Duration,
}

impl Unit {
    pub(crate) fn new(url: &str, settings: &Settings) -> Result<Self, String> {
        let files = (settings.password_file.clone(), settings.ca_file.clone());
        let at = url.trim_end_matches('/').to_owned();
        let api = Api::new(url, files, at, (Auth::Nothing, KIND))?;
        api.refuse_clear()?;
        Ok(Self {
            api,
            user: settings.user.clone(),
            provider: settings.login_provider.clone(),
        })
    }

    /// Shows who asks. Only a token does for users whom the BIG-IP does not know itself.
    pub(crate) async fn session(
        &self,
        tried: &'static str,
        within: Duration,
    ) -> Result<Session<'_>, CutoverError> {
        let api = &self.api;
        let password = api.key(tried)?;
        let (user, provider) = (&self.user, &self.provider);
        let body = json!({"username": user, "password": password, "loginProviderName": provider});
        let question = Question::get(tried, "/mgmt/shared/authn/login", within);
        let question = question.with(Method::POST, body);
        let login = api.ask_by::<Value>((&Auth::Nothing, &password), question);
        let login = login.await.map_err(|error| error.leaving(Effect::None))?;
        let token = login["token"]["token"].as_str();
        let token = token.ok_or_else(|| api.unfit(tried, "its login gives no token", KIND.denied));
        Ok(Session {
            api,
            token: token?.to_owned(),
            tried,
            within,
        })
    }
}

impl Session<'_> {
    async fn ask(&self, question: Question<'_>) -> Result<Value, CutoverError> {
        let by = (&Auth::Header(TOKEN, ""), self.token.as_str());
        self.api.ask_by(by, question).await
    }

    fn question<'a>(&self, path: &'a str) -> Question<'a> {
        Question::get(self.tried, path, self.within)
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value, CutoverError> {
        let asked = self.ask(self.question(path)).await;
        asked.map_err(|error| error.leaving(Effect::None))
    }

    /// Changes objects, each by its path, all of them or none. Nothing is changed before the commit.
    pub(crate) async fn transact<D>(
        &self,
        commands: Vec<(String, Value)>,
    ) -> Result<Written<D>, CutoverError> {
        let begin = self.question("/mgmt/tm/transaction");
        let opened = self.ask(begin.with(Method::POST, json!({}))).await;
        let opened = opened.map_err(|error| error.leaving(Effect::None))?;
        let id = opened["transId"].as_u64().map(|id| id.to_string());
        let none = || {
            self.api
                .unfit(self.tried, "it begins no transaction", KIND.missing)
        };
        let id = id.ok_or_else(none)?;
        let own = format!("/mgmt/tm/transaction/{id}");
        for (path, body) in commands {
            let question = Question {
                header: Some((TRANSACTION, id.clone())),
                ..self.question(&path).with(Method::PATCH, body)
            };
            if let Err(error) = self.ask(question).await {
                let end = self.question(&own).with(Method::DELETE, json!({}));
                // It ends by itself too, when its time is over.
                drop(self.ask(end).await);
                return Ok(Written::Denied(error));
            }
        }
        let commit = json!({"state": "VALIDATING"});
        let committed = self.ask(self.question(&own).with(Method::PATCH, commit));
        Ok(match committed.await {
            Ok(answer) if answer["state"] == "FAILED" => {
                let said = answer["failureReason"].to_string();
                let next = "Correct what the BIG-IP says, and plan again.";
                let error = self.api.error(self.tried, Problem::Denied { said }, next);
                Written::Denied(error)
            }
            Ok(_) => Written::Taken(Vec::new()),
            Err(error) if error.effect == Effect::None => Written::Denied(error),
            Err(error) => Written::Lost(error),
        })
    }

    /// Gives the token back; it ends by itself too.
    pub(crate) async fn end(self) {
        let path = format!("/mgmt/shared/authz/tokens/{}", self.token);
        drop(
            self.ask(self.question(&path).with(Method::DELETE, json!({})))
                .await,
        );
    }
}
