//! The stream of events.

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::time::timeout;

use super::super::feed::{Feed, LISTENERS};
use super::*;

const SOON: Duration = Duration::from_secs(60);

/// Somebody who listens.
struct Listener(BufReader<TcpStream>);

impl Server {
    /// Listens; gives the head of the answer too. HTTP/1.0, so that the events come as they are.
    async fn listen(&self) -> (String, Listener) {
        let mut stream = TcpStream::connect(self.address).await.expect("a connection");
        let request = format!("GET /api/events HTTP/1.0\r\nHost: {}\r\n\r\n", self.address);
        stream.write_all(request.as_bytes()).await.expect("a request");
        let mut listener = Listener(BufReader::new(stream));
        let mut head = String::new();
        while let Some(line) = listener.line().await.filter(|line| !line.is_empty()) {
            head += &line;
            head.push('\n');
        }
        (head, listener)
    }

    /// Listens until that is accepted.
    async fn listen_when_there_is_a_place(&self) -> Listener {
        let trying = async {
            loop {
                let (head, listener) = self.listen().await;
                if head.contains(" 200 ") {
                    break listener;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(SOON, trying).await.expect("a place in time")
    }
}

impl Listener {
    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = timeout(SOON, self.0.read_line(&mut line)).await.expect("a line in time");
        (read.ok()? > 0).then(|| line.trim_end().to_owned())
    }

    /// The next event and its data; none at the end.
    async fn event(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some(event) = self.line().await?.strip_prefix("event: ") {
                let data = self.line().await?;
                let data = data.strip_prefix("data: ").expect("data");
                return Some((event.to_owned(), serde_json::from_str(data).expect("JSON")));
            }
        }
    }

    /// The data of the next event of this kind; none at the end.
    async fn next(&mut self, kind: &str) -> Option<Value> {
        loop {
            let (event, data) = self.event().await?;
            if event == kind {
                return Some(data);
            }
        }
    }
}

#[tokio::test]
async fn a_listener_gets_the_status_and_then_what_happens_until_the_stop() {
    let server = server().await;
    server.decides(true, "old", Reason::GlobalMinute).await;
    let (head, mut listener) = server.listen().await;
    assert!(head.contains("content-type: text/event-stream"), "{head}");
    assert_eq!(listener.line().await.as_deref(), Some("retry: 2000"));
    assert_eq!(listener.next("status").await.expect("a status")["health"]["state"], "healthy");
    server.decides(false, "bob", Reason::NoTrigger).await;
    server.cut_the_link();
    let (mut transition, mut decisions) = (None, None);
    // In which second each is found, and so which comes first, is left open.
    while transition.is_none() || decisions.is_none() {
        let (event, data) = listener.event().await.expect("an event");
        match event.as_str() {
            "transition" => transition = Some(data),
            "decisions" => decisions = Some(data),
            other => assert_eq!(other, "status"),
        }
    }
    let (transition, decisions) = (transition.expect("a transition"), decisions.expect("decisions"));
    assert_eq!(
        (&transition["from"], &transition["to"], &transition["reason"]),
        (&json!("healthy"), &json!("failing"), &json!("NATS disconnected"))
    );
    assert!(transition["at"].is_string());
    assert_eq!(decisions["decisions"].as_array().map(Vec::len), Some(1), "{decisions}");
    assert_eq!(decisions["decisions"][0]["username"], "bob");
    while listener.next("status").await.expect("a status")["health"]["state"] != "failing" {}

    server.stop.cancel();
    assert_eq!(listener.next("nothing").await, None);
    timeout(Duration::from_secs(1), server.task).await.expect("an end in time").expect("no panic");
}

#[tokio::test]
async fn only_so_many_listen_and_whoever_hangs_up_makes_room_for_another() {
    let server = server().await;
    let mut listeners = Vec::new();
    for _ in 0..LISTENERS {
        let (head, listener) = server.listen().await;
        assert!(head.starts_with("HTTP/1.0 200"), "{head}");
        listeners.push(listener);
    }
    let (head, _) = server.listen().await;
    assert!(head.starts_with("HTTP/1.0 503") && head.contains("retry-after: 5"), "{head}");
    assert_eq!(server.get("/livez").await.0, 200, "others are answered");
    listeners.pop();
    let mut late = server.listen_when_there_is_a_place().await;
    assert!(late.next("status").await.is_some());
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_anything_while_nobody_listens() {
    let (decider, notes) = DeciderHandle::unanswered();
    let (mut state, _ready) = state();
    state.figures.asking = Remembered::new(decider);
    let feed = Feed::new(CancellationToken::new());
    let running = feed.clone().run(Arc::new(state));
    assert!(timeout(Duration::from_secs(3_600), running).await.is_err());
    assert_eq!(notes.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_quiet_service_says_so_every_ten_seconds() {
    let (state, _ready) = state();
    let feed = Feed::new(CancellationToken::new());
    tokio::spawn(feed.clone().run(Arc::new(state)));
    let (_place, mut texts) = feed.join().await.expect("a place");
    let mut told = Vec::new();
    let hearing = async {
        while let Ok(text) = texts.recv().await {
            told.push(String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned());
        }
    };
    let _ = timeout(Duration::from_millis(31_500), hearing).await;
    let count = |line: &str| told.iter().filter(|told| *told == line).count();
    assert_eq!((count("event: status"), count(": here")), (4, 2), "{told:?}");
}
