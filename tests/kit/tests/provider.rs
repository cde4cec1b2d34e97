//! Each behaviour of the provider stand-in is really seen by a plain HTTP client.

use std::time::{Duration, Instant};

use kryten_testkit::provider::{COMPLETION_TOKENS, PROMPT_TOKENS, distinct_text};
use kryten_testkit::{Behaviour, Context as _, Error, Mark, Provider, Result, within};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

const SOON: Duration = Duration::from_secs(10);
const CHAT: &str = "/v1/chat/completions";

/// What a client got for one request.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    fn content(&self) -> String {
        self.json()
            .pointer("/choices/0/message/content")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    }
}

struct Client(BufReader<TcpStream>);

impl Client {
    async fn connect(provider: &Provider) -> Result<Client> {
        Ok(Client(BufReader::new(TcpStream::connect(provider.address()).await.context("connecting")?)))
    }

    async fn post(&mut self, path: &str, body: Value) -> Result {
        let body = body.to_string();
        let request =
            format!("POST {path} HTTP/1.1\r\nX-Test: Yes\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        self.0.write_all(request.as_bytes()).await.context("posting")
    }

    async fn head(&mut self) -> Result<String> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let read = self.0.read_line(&mut head).await.context("reading the head")?;
            if read == 0 {
                return Err(Error::new(format!("the connection ended in the head {head:?}")));
            }
        }
        Ok(head)
    }

    async fn answer(&mut self) -> Result<Answer> {
        let read = async {
            let head = self.head().await?;
            let mut body = vec![0; content_length(&head)];
            self.0.read_exact(&mut body).await.context("reading the body")?;
            let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_default();
            Ok(Answer { status, head, body: String::from_utf8_lossy(&body).into_owned() })
        };
        within(SOON, "an answer", read).await?
    }
}

fn content_length(head: &str) -> usize {
    let line = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    line.and_then(|length| length.parse().ok()).unwrap_or_default()
}

fn question() -> Value {
    json!({ "model": "m", "messages": [{ "role": "user", "content": "hello" }] })
}

/// One request on a connection of its own.
async fn ask(provider: &Provider, behaviour: Behaviour) -> Result<Answer> {
    provider.next([behaviour]);
    let mut client = Client::connect(provider).await?;
    client.post(CHAT, question()).await?;
    client.answer().await
}

#[tokio::test]
async fn it_answers_by_script_then_always_the_same_way() -> Result {
    let provider = Provider::start().await?;
    provider.always(Behaviour::answer("as always"));
    provider.next([Behaviour::answer("first"), Behaviour::Status(503, "{}".to_owned())]);
    let mut client = Client::connect(&provider).await?;
    let mut seen = Vec::new();
    for _ in 0..4 {
        client.post(CHAT, question()).await?;
        let answer = client.answer().await?;
        seen.push((answer.status, answer.content()));
    }
    let good = |text: &str| (200, text.to_owned());
    assert_eq!(seen, [good("first"), (503, String::new()), good("as always"), good("as always")]);
    Ok(())
}

#[tokio::test]
async fn it_records_requests_and_whether_connections_are_reused() -> Result {
    let provider = Provider::start().await?;
    let mut client = Client::connect(&provider).await?;
    for _ in 0..2 {
        client.post(CHAT, question()).await?;
        client.answer().await?;
    }
    ask(&provider, Behaviour::AnswerAnew).await?;
    let requests = provider.requests().all();
    let connections: Vec<u64> = requests.iter().map(|request| request.connection).collect();
    assert_eq!(connections, [1, 1, 2]);
    assert_eq!(provider.connections(), 2);
    assert_eq!(requests[0].path, CHAT);
    assert_eq!(requests[0].header("x-test"), Some("Yes"));
    assert_eq!(requests[0].prompt(), "hello");
    let waited = provider.wait_for_request(Mark::START, SOON, |request| request.connection == 2).await?;
    assert_eq!(waited.json, question());
    Ok(())
}

#[tokio::test]
async fn a_good_answer_has_the_shape_of_the_api_that_was_asked() -> Result {
    let provider = Provider::start().await?;
    provider.always(Behaviour::answer("hi"));
    let mut client = Client::connect(&provider).await?;
    client.post(CHAT, question()).await?;
    let openai = client.answer().await?.json();
    assert_eq!(openai["choices"][0]["message"]["content"], "hi");
    assert_eq!(openai["choices"][0]["finish_reason"], "stop");
    assert_eq!(openai["usage"]["total_tokens"], PROMPT_TOKENS + COMPLETION_TOKENS);
    client.post("/v1/messages", question()).await?;
    let anthropic = client.answer().await?.json();
    assert_eq!(anthropic["content"][0]["text"], "hi");
    assert_eq!(anthropic["usage"]["output_tokens"], COMPLETION_TOKENS);
    client.post("/v1/models", json!({})).await?;
    assert_eq!(client.answer().await?.json()["data"][0]["id"], "stand-in");
    provider.models(Behaviour::answer("small"));
    client.post("/v1/models?limit=1000", json!({})).await?;
    assert_eq!(client.answer().await?.json()["data"][0]["id"], "small");
    assert_eq!((provider.checks(), provider.requests().count()), (2, 4));
    Ok(())
}

#[tokio::test]
async fn new_answers_are_all_unlike() -> Result {
    let provider = Provider::start().await?;
    let one = ask(&provider, Behaviour::AnswerAnew).await?.content();
    let two = ask(&provider, Behaviour::AnswerAnew).await?.content();
    assert_eq!((one, two), (distinct_text(1), distinct_text(2)));
    let alike = distinct_text(3).split(' ').skip(2).filter(|word| distinct_text(4).contains(word)).count();
    assert_eq!(alike, 0);
    Ok(())
}

#[tokio::test]
async fn unusable_answers_are_unusable_each_in_its_way() -> Result {
    let provider = Provider::start().await?;
    let limited = ask(&provider, Behaviour::RetryAfter(429, "7".to_owned())).await?;
    assert_eq!(limited.status, 429);
    assert!(limited.head.contains("retry-after: 7\r\n"), "{}", limited.head);
    let page = ask(&provider, Behaviour::NotJson).await?;
    assert_eq!((page.status, page.json()), (200, Value::Null));
    assert_eq!(ask(&provider, Behaviour::NoChoices).await?.json()["choices"], json!([]));
    let table = [
        (Behaviour::EmptyContent, "", "stop"),
        (Behaviour::ReasoningAteTokens, "", "length"),
        (Behaviour::ContentFilter, "", "content_filter"),
        (Behaviour::CutByTokens("half a".to_owned()), "half a", "length"),
    ];
    for (behaviour, content, reason) in table {
        let answer = ask(&provider, behaviour.clone()).await?;
        assert_eq!(answer.status, 200, "{behaviour:?}");
        assert_eq!(answer.content(), content, "{behaviour:?}");
        assert_eq!(answer.json()["choices"][0]["finish_reason"], reason, "{behaviour:?}");
    }
    let huge = ask(&provider, Behaviour::Huge(2 << 20)).await?;
    assert_eq!(huge.content().len(), 2 << 20);
    assert_eq!(ask(&provider, Behaviour::Json(json!([1]))).await?.body, "[1]");
    Ok(())
}

#[tokio::test]
async fn broken_connections_break_where_they_say() -> Result {
    let provider = Provider::start().await?;
    let reset = ask(&provider, Behaviour::Reset).await.err().map(|error| error.to_string());
    assert!(reset.as_deref().is_some_and(|error| error.contains("reset")), "{reset:?}");
    let cut = ask(&provider, Behaviour::CutMidBody).await.err().map(|error| error.to_string());
    assert!(cut.as_deref().is_some_and(|error| error.contains("reading the body")), "{cut:?}");
    Ok(())
}

#[tokio::test]
async fn a_hanging_provider_takes_the_request_and_stays_mute() -> Result {
    let provider = Provider::start().await?;
    provider.next([Behaviour::Hang]);
    let mut client = Client::connect(&provider).await?;
    client.post(CHAT, question()).await?;
    provider.wait_for_request(Mark::START, SOON, |_| true).await?;
    let byte = tokio::time::timeout(Duration::from_millis(200), client.0.read_u8()).await;
    assert!(byte.is_err(), "it spoke, or closed: {byte:?}");
    Ok(())
}

#[tokio::test]
async fn a_trickling_provider_sends_the_head_and_then_single_bytes() -> Result {
    let provider = Provider::start().await?;
    provider.next([Behaviour::Trickle]);
    let mut client = Client::connect(&provider).await?;
    client.post(CHAT, question()).await?;
    let head = within(SOON, "the head", client.head()).await??;
    assert!(content_length(&head) > 100, "{head}");
    let started = Instant::now();
    let mut bytes = [0; 3];
    within(SOON, "three bytes", client.0.read_exact(&mut bytes)).await?.context("reading")?;
    assert_eq!(&bytes, b"{\"i");
    assert!(started.elapsed() >= Duration::from_millis(200), "too fast: {:?}", started.elapsed());
    Ok(())
}

#[tokio::test]
async fn answers_can_be_late_held_or_chosen_by_the_request() -> Result {
    let provider = Provider::start().await?;
    let started = Instant::now();
    let late = Duration::from_millis(50);
    assert_eq!(ask(&provider, Behaviour::AnswerAfter(late, "late".to_owned())).await?.content(), "late");
    assert!(started.elapsed() >= late);
    let chosen = Behaviour::choose(|request| Behaviour::Answer(request.prompt().to_uppercase()));
    assert_eq!(ask(&provider, chosen).await?.content(), "HELLO");

    provider.next([Behaviour::Hold("held".to_owned())]);
    let mark = provider.requests().mark();
    let mut client = Client::connect(&provider).await?;
    client.post(CHAT, question()).await?;
    provider.wait_for_request(mark, SOON, |_| true).await?;
    let byte = tokio::time::timeout(Duration::from_millis(100), client.0.fill_buf()).await;
    assert!(byte.is_err(), "it was not held: {byte:?}");
    provider.release();
    assert_eq!(client.answer().await?.content(), "held");
    Ok(())
}
