//! Ends tokens that are presented in plaintext, whoever presents them: the token itself is proof enough.
//!
//! `DELETE /tokens/current`, `POST /tokens/burn`, and the reports of GitHub and GitLab. None of them takes a session.

mod burner;
mod github;
mod gitlab;
mod keys;
mod report;

use burner::Burner;
use keys::Keys;
use lambda_http::Request;
use lambda_http::http::StatusCode;
use latchkey::clock::Timestamp;
use latchkey::config::{ConfigError, Environment, Reader};
use latchkey::http::{self, HttpResponse};
use latchkey::problem::Problem;
use latchkey::record::RevokedBy;
use latchkey::store::{Presented, Store};
use latchkey::token::TokenHash;
use serde_json::json;

/// The function: its settings, its store and GitHub's keys. DynamoDB action: `UpdateItem`.
pub struct Function {
    burner: Burner,
    github: Keys,
    gitlab: Option<TokenHash>,
}

impl Function {
    /// From the function's environment.
    pub fn new(environment: &Environment, client: aws_sdk_dynamodb::Client) -> Result<Self, ConfigError> {
        let mut read = Reader::new(environment);
        let table = read.table_name();
        let prefix = read.token_prefix();
        let burner = Burner::new(Store::new(client, table), prefix, read.retention_days());
        let github = Keys::new(read.github_keys_url(), read.ca_bundle());
        let gitlab = read.gitlab_token();
        read.finish(Self { burner, github, gitlab })
    }

    /// Answers one request.
    pub async fn handle(&self, request: Request, now: Timestamp) -> HttpResponse {
        let answer = match request.uri().path().rsplit('/').next() {
            Some("current") => self.end_current(&request, now).await,
            Some("burn") => self.burn(&request, now).await,
            Some("github") => self.report_of_github(&request, now).await,
            Some("revocable_token_types") => self.types_for_gitlab(&request),
            Some("revoke_tokens") => self.report_of_gitlab(&request, now).await,
            // The template has no other route.
            _ => Err(Problem::unauthorized()),
        };
        answer.unwrap_or_else(|problem| http::problem(&problem))
    }

    /// Whatever the token may do, it may end itself.
    async fn end_current(&self, request: &Request, now: Timestamp) -> Result<HttpResponse, Problem> {
        let token = http::token(request, self.burner.prefix())?;
        match self.burner.burn(&token, RevokedBy::Token, None, now).await.map_err(http::unavailable)? {
            Presented::Revoked | Presented::Ended => Ok(http::no_content()),
            Presented::Retired | Presented::Unknown => Err(Problem::unauthorized()),
        }
    }

    /// The same answer whatever becomes of the token, so that nobody learns here which ones are good.
    async fn burn(&self, request: &Request, now: Timestamp) -> Result<HttpResponse, Problem> {
        let text = report::one(request.body())?;
        if let Some(token) = self.burner.token(&text) {
            self.burner.burn(&token, RevokedBy::Finder, None, now).await.map_err(http::unavailable)?;
        }
        Ok(http::no_content())
    }

    async fn report_of_github(&self, request: &Request, now: Timestamp) -> Result<HttpResponse, Problem> {
        report::not_too_large(request.body())?;
        github::signed(request, &self.github, now).await?;
        let matches: Vec<github::Match> = report::many(request.body(), github::FORM)?;
        let leaks = matches.iter().map(github::Match::leak).collect();
        let ours = self.burner.burn_all(leaks, RevokedBy::GitHub, now).await.map_err(http::unavailable)?;
        Ok(http::json(StatusCode::OK, &github::feedback(&matches, &ours)))
    }

    fn types_for_gitlab(&self, request: &Request) -> Result<HttpResponse, Problem> {
        gitlab::known(request, self.gitlab.as_ref())?;
        Ok(http::json(StatusCode::OK, &json!({"types": [gitlab::TYPE]})))
    }

    async fn report_of_gitlab(&self, request: &Request, now: Timestamp) -> Result<HttpResponse, Problem> {
        gitlab::known(request, self.gitlab.as_ref())?;
        report::not_too_large(request.body())?;
        let finds: Vec<gitlab::Find> = report::many(request.body(), gitlab::FORM)?;
        gitlab::of_our_type(&finds)?;
        let leaks = finds.iter().map(gitlab::Find::leak).collect();
        self.burner.burn_all(leaks, RevokedBy::GitLab, now).await.map_err(http::unavailable)?;
        Ok(http::no_content())
    }
}
