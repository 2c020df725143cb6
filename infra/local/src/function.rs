//! Calling the functions as Lambda does: an event as JSON in, JSON or an error out.

use crate::wire;
use aws_sdk_dynamodb::Client;
use lambda_http::request::LambdaRequest;
use lambda_http::{Context, LambdaEvent, Service};
use latchkey::clock::Timestamp;
use latchkey::config::{ConfigError, Environment};
use latchkey::requests;
use serde_json::Value;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;

/// A function's own handler.
pub enum Handler {
    /// Answers HTTP requests.
    Http(HttpHandler),
    /// Answers authorizer events.
    Authorizer(Arc<authorize::Function>),
    /// Hears events of the bus and of its schedule.
    Remind(remind::Function),
}

/// The functions behind the management API.
pub enum HttpHandler {
    /// What ends a token that is presented: `DELETE /tokens/current`, `POST /tokens/burn`, reports of leaks
    Burn(Box<burn::Function>),
    /// The page and what belongs to it.
    Console(console::Function),
    /// `GET /tokens/current`
    Current(current::Function),
    /// `PATCH /tokens/{id}`
    Change(change::Function),
    /// `POST /tokens`
    Generate(generate::Function),
    /// `POST /introspect`
    Introspect(Arc<introspect::Function>),
    /// `GET /tokens`, `GET /tokens/{id}`
    List(list::Function),
    /// `DELETE /tokens/{id}`, `DELETE /tokens`
    Revoke(revoke::Function),
    /// `POST /tokens/{id}/rotate`
    Rotate(rotate::Function),
    /// `GET /verify`, `ANY /verify/{proxy+}`
    Verify(Arc<verify::Function>),
}

/// Why a binary has no handler.
#[derive(Debug)]
pub enum HandlerError {
    /// Its settings are wrong.
    Settings(ConfigError),
    /// There is none of its name.
    UnknownBinary,
}

impl From<ConfigError> for HandlerError {
    fn from(error: ConfigError) -> Self {
        Self::Settings(error)
    }
}

/// A function as it is deployed.
#[derive(Clone)]
pub struct Function {
    handler: Arc<Handler>,
    timeout: Duration,
    /// What its calls do once they have answered.
    afterwards: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

/// Why a call has no answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// The function answered with an error: Lambda's `errorMessage`.
    Error(String),
    /// It panicked.
    Crashed,
    /// It took longer than its template allows.
    TimedOut(Duration),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(message) => f.write_str(message),
            Self::Crashed => f.write_str("the function crashed"),
            Self::TimedOut(limit) => write!(f, "the function took longer than {} seconds", limit.as_secs()),
        }
    }
}

impl Function {
    /// A function with this handler, which may take this long.
    pub fn new(handler: Handler, timeout: Duration) -> Self {
        Self { handler: Arc::new(handler), timeout, afterwards: Arc::default() }
    }

    /// Calls it with one event.
    pub async fn invoke(&self, event: &Value, now: Timestamp) -> Result<Value, Failure> {
        // As bytes, since that is how Lambda hands it over.
        let event = serde_json::to_vec(event).map_err(error)?;
        let handler = Arc::clone(&self.handler);
        // A task of its own, so that a panic ends the call and nothing else.
        let mut call = tokio::spawn(async move { handler.call(&event, now).await });
        let answer = match tokio::time::timeout(self.timeout, &mut call).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Failure::Crashed),
            Err(_) => {
                call.abort();
                Err(Failure::TimedOut(self.timeout))
            }
        };
        if let Some(work) = self.handler.settle() {
            let mut afterwards = self.afterwards();
            afterwards.retain(|work| !work.is_finished());
            afterwards.push(tokio::spawn(work));
        }
        answer
    }

    /// Waits for what calls that have answered are still doing.
    pub async fn settled(&self) {
        let afterwards = std::mem::take(&mut *self.afterwards());
        for work in afterwards {
            let _ = work.await;
        }
    }

    fn afterwards(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.afterwards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handler {
    /// The handler of this binary, with these settings.
    pub fn of(binary: &str, environment: &Environment, client: Client) -> Result<Self, HandlerError> {
        Ok(Self::Http(match binary {
            "authorize" => return Ok(Self::Authorizer(Arc::new(authorize::Function::new(environment, client)?))),
            "burn" => HttpHandler::Burn(Box::new(burn::Function::new(environment, client)?)),
            "change" => HttpHandler::Change(change::Function::new(environment, client)?),
            "console" => HttpHandler::Console(console::Function::new(environment)?),
            "current" => HttpHandler::Current(current::Function::new(environment, client)?),
            "generate" => HttpHandler::Generate(generate::Function::new(environment, client)?),
            "introspect" => HttpHandler::Introspect(Arc::new(introspect::Function::new(environment, client)?)),
            "list" => HttpHandler::List(list::Function::new(environment, client)?),
            "remind" => return Ok(Self::Remind(remind::Function::new(environment, client)?)),
            "revoke" => HttpHandler::Revoke(revoke::Function::new(environment, client)?),
            "rotate" => HttpHandler::Rotate(rotate::Function::new(environment, client)?),
            "verify" => HttpHandler::Verify(Arc::new(verify::Function::new(environment, client)?)),
            _ => return Err(HandlerError::UnknownBinary),
        }))
    }

    /// What the function does once its answer is out.
    fn settle(&self) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
        match self {
            Self::Authorizer(function) => Some(Box::pin(Arc::clone(function).settle())),
            Self::Http(HttpHandler::Introspect(function)) => Some(Box::pin(Arc::clone(function).settle())),
            Self::Http(HttpHandler::Verify(function)) => Some(Box::pin(Arc::clone(function).settle())),
            Self::Http(_) | Self::Remind(_) => None,
        }
    }

    async fn call(self: Arc<Self>, event: &[u8], now: Timestamp) -> Result<Value, Failure> {
        match &*self {
            Self::Authorizer(function) => {
                let event = serde_json::from_slice(event).map_err(error)?;
                let answer = function.handle(event, now).await.map_err(error)?;
                serde_json::to_value(answer).map_err(error)
            }
            Self::Remind(function) => {
                let event = serde_json::from_slice(event).map_err(error)?;
                function.handle(event, now).await.map_err(error)?;
                Ok(Value::Null)
            }
            Self::Http(function) => function.call(event, now).await,
        }
    }
}

impl HttpHandler {
    async fn call(&self, event: &[u8], now: Timestamp) -> Result<Value, Failure> {
        let request: LambdaRequest = serde_json::from_slice(event).map_err(error)?;
        let respond = |request| async move {
            match self {
                Self::Burn(function) => function.handle(request, now).await,
                Self::Console(function) => function.handle(&request),
                Self::Current(function) => function.handle(request, now).await,
                Self::Change(function) => function.handle(request, now).await,
                Self::Generate(function) => function.handle(request, now).await,
                Self::Introspect(function) => function.handle(request, now).await,
                Self::List(function) => function.handle(request, now).await,
                Self::Revoke(function) => function.handle(request, now).await,
                Self::Rotate(function) => function.handle(request, now).await,
                Self::Verify(function) => function.handle(request, now).await,
            }
        };
        let mut context = Context::default();
        context.request_id = wire::request_id();
        match requests::service(respond).call(LambdaEvent::new(request, context)).await {
            Ok(response) => serde_json::to_value(response).map_err(error),
            Err(never) => match never {},
        }
    }
}

fn error(error: impl fmt::Display) -> Failure {
    Failure::Error(error.to_string())
}
