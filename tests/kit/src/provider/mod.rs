//! A stand-in for an LLM provider: a real HTTP server that answers, or misbehaves, by script.

mod behaviour;
mod http;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::BufReader;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use behaviour::{Behaviour, COMPLETION_TOKENS, PROMPT_TOKENS, distinct_text};
pub use http::Request;

use crate::error::{Context, Result};
use crate::journal::{Journal, Mark};
use behaviour::{Finish, answer, is_for_models};
use http::Response;

/// The stand-in. Dropping it closes its port and its connections.
#[derive(Debug)]
pub struct Provider {
    address: SocketAddr,
    shared: Arc<Shared>,
    _task: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    script: Mutex<Script>,
    requests: Journal<Request>,
    hang_ups: Journal<Request>,
    /// How often held answers were let go.
    releases: watch::Sender<u64>,
    /// How many answers were made anew.
    answers: AtomicU64,
    connections: AtomicU64,
}

#[derive(Debug)]
struct Script {
    next: VecDeque<Behaviour>,
    otherwise: Behaviour,
    /// What those for the list of models meet.
    models: Behaviour,
}

impl Provider {
    /// A provider that answers every request with a new text.
    pub async fn start() -> Result<Provider> {
        let what = "starting a provider stand-in";
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context(what)?;
        let address = listener.local_addr().context(what)?;
        let shared = Arc::new(Shared {
            script: Mutex::new(Script {
                next: VecDeque::new(),
                otherwise: Behaviour::AnswerAnew,
                models: Behaviour::answer("stand-in"),
            }),
            requests: Journal::default(),
            hang_ups: Journal::default(),
            releases: watch::Sender::new(0),
            answers: AtomicU64::new(0),
            connections: AtomicU64::new(0),
        });
        let mut task = JoinSet::new();
        task.spawn(serve(listener, shared.clone()));
        Ok(Provider { address, shared, _task: task })
    }

    /// What belongs into a config's `base_url`.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the next requests meet, one each, behind what was told before.
    pub fn next(&self, behaviours: impl IntoIterator<Item = Behaviour>) {
        self.shared.script().next.extend(behaviours);
    }

    /// What requests meet when nothing is left of [`Provider::next`]. Forgets what is left.
    pub fn always(&self, behaviour: Behaviour) {
        let mut script = self.shared.script();
        script.next.clear();
        script.otherwise = behaviour;
    }

    /// What requests for the list of models meet, whatever is told to the others.
    pub fn models(&self, behaviour: Behaviour) {
        self.shared.script().models = behaviour;
    }

    /// The requests for the list of models so far.
    pub fn checks(&self) -> usize {
        self.shared.requests.all().iter().filter(|request| is_for_models(request)).count()
    }

    /// Lets go all answers that are held now.
    pub fn release(&self) {
        self.shared.releases.send_modify(|releases| *releases += 1);
    }

    /// The requests so far, in order of arrival.
    pub fn requests(&self) -> &Journal<Request> {
        &self.shared.requests
    }

    /// The next request behind `mark` that `wanted` accepts.
    pub async fn wait_for_request(
        &self,
        mark: Mark,
        deadline: Duration,
        mut wanted: impl FnMut(&Request) -> bool,
    ) -> Result<Request> {
        self.shared.requests.wait_since(mark, "a request to the provider", deadline, |one| wanted(one)).await
    }

    /// The requests that met [`Behaviour::Hang`] and whose connection the client has closed since.
    pub fn hang_ups(&self) -> &Journal<Request> {
        &self.shared.hang_ups
    }

    /// How many connections were opened to it so far.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn behaviour_for(&self, request: &Request) -> Behaviour {
        let mut behaviour = {
            let mut script = self.script();
            match is_for_models(request) {
                true => script.models.clone(),
                false => script.next.pop_front().unwrap_or_else(|| script.otherwise.clone()),
            }
        };
        while let Behaviour::Choose(choice) = behaviour {
            behaviour = choice(request);
        }
        behaviour
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    // The connections end with this task, and this task with its provider.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                let number = shared.connections.fetch_add(1, Ordering::Relaxed) + 1;
                connections.spawn(serve_connection(stream, number, shared.clone()));
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve_connection(stream: TcpStream, number: u64, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    let mut stream = BufReader::new(stream);
    // A client that goes away in the middle is none of our worries.
    while let Ok(Some(request)) = http::read_request(&mut stream, number).await {
        let behaviour = shared.behaviour_for(&request);
        // Subscribed before the request can be seen, so that no release is missed.
        let mut releases = shared.releases.subscribe();
        shared.requests.push(request.clone());
        let released = async {
            let _ = releases.changed().await;
        };
        let done = behave(&behaviour, &request, &mut stream, &shared, released).await;
        if done.is_none() || request.header("connection") == Some("close") {
            return;
        }
    }
}

/// Answers one request. None: the connection is over.
async fn behave(
    behaviour: &Behaviour,
    request: &Request,
    stream: &mut BufReader<TcpStream>,
    shared: &Shared,
    released: impl Future<Output = ()>,
) -> Option<()> {
    let good = |text: &str| Response::json(200, &answer(request, text, Finish::Stop));
    let anew = || good(&distinct_text(shared.answers.fetch_add(1, Ordering::Relaxed) + 1));
    let response = match behaviour {
        Behaviour::AnswerAnew => anew(),
        Behaviour::AnswerWithHeaders(headers) => Response { headers: headers.clone(), ..anew() },
        Behaviour::Answer(text) => good(text),
        Behaviour::AnswerAfter(wait, text) => {
            tokio::time::sleep(*wait).await;
            good(text)
        }
        Behaviour::Hold(text) => {
            released.await;
            good(text)
        }
        Behaviour::CutByTokens(text) => Response::json(200, &answer(request, text, Finish::Length)),
        Behaviour::Json(body) => Response::json(200, body),
        Behaviour::Status(code, body) => Response {
            status: *code,
            content_type: "application/json",
            headers: Vec::new(),
            body: body.clone().into_bytes(),
        },
        Behaviour::RetryAfter(code, value) => {
            let body = json!({ "error": { "message": "slow down", "type": "rate_limit" } });
            let headers = vec![("retry-after".to_owned(), value.clone())];
            Response { headers, ..Response::json(*code, &body) }
        }
        Behaviour::NotJson => Response {
            status: 200,
            content_type: "text/html",
            headers: Vec::new(),
            body: b"<html><body>Please sign in</body></html>".to_vec(),
        },
        Behaviour::NoChoices => Response::json(200, &without_content(request)),
        Behaviour::EmptyContent => good(""),
        Behaviour::ReasoningAteTokens => Response::json(200, &answer(request, "", Finish::Length)),
        Behaviour::ContentFilter => Response::json(200, &answer(request, "", Finish::ContentFilter)),
        Behaviour::Huge(bytes) => good(&"a".repeat(*bytes)),
        Behaviour::Hang => {
            http::closed(stream).await;
            shared.hang_ups.push(request.clone());
            return None;
        }
        Behaviour::Trickle => return trickle(&good("one byte at a time"), stream).await,
        Behaviour::Reset => {
            let _ = stream.get_ref().set_zero_linger();
            return None;
        }
        Behaviour::CutMidBody => {
            let response = good("this never arrives in full");
            let _ = response.send_part(stream, response.body.len() / 2).await;
            return None;
        }
        // Resolved before.
        Behaviour::Choose(_) => return None,
    };
    response.send(stream).await.ok()
}

fn without_content(request: &Request) -> Value {
    let mut body = answer(request, "", Finish::Stop);
    for key in ["choices", "content", "data"] {
        if let Some(list) = body.get_mut(key) {
            *list = json!([]);
        }
    }
    body
}

async fn trickle(response: &Response, stream: &mut BufReader<TcpStream>) -> Option<()> {
    response.send_part(stream, 0).await.ok()?;
    for byte in &response.body {
        tokio::time::sleep(Duration::from_millis(100)).await;
        http::send(stream, &[*byte]).await.ok()?;
    }
    Some(())
}
