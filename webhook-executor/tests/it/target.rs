//! An external system that answers as a script says, one answer per request, in turn.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A request as it arrived.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Arrived {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Arrived {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// The system. Stops when it is dropped.
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

#[expect(
    clippy::disallowed_methods,
    reason = "what is started here ends with the test's runtime"
)]
pub(crate) fn background<F: Future<Output: Send> + Send + 'static>(
    task: F,
) -> JoinHandle<F::Output> {
    tokio::spawn(task)
}

struct State {
    script: Mutex<Vec<Value>>,
    arrived: watch::Sender<Vec<Arrived>>,
    /// Connections that the other side has closed or dropped.
    closed: watch::Sender<usize>,
}

impl Target {
    /// Answers with `script`'s entries in their order, and with 500 after the last.
    pub(crate) async fn start(script: Vec<Value>) -> Self {
        let target = Self::bound().await;
        target.will_answer(script);
        target
    }

    /// A system whose script follows when its address is known.
    pub(crate) async fn bound() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            script: Mutex::default(),
            arrived: watch::Sender::default(),
            closed: watch::Sender::default(),
        });
        let shared = state.clone();
        let accepting = background(async move {
            while let Ok((stream, _)) = listener.accept().await {
                background(serve(stream, shared.clone()));
            }
        });
        Self {
            address,
            state,
            accepting,
        }
    }

    pub(crate) fn will_answer(&self, script: Vec<Value>) {
        *self.state.script.lock().unwrap() = script;
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn arrived(&self) -> Vec<Arrived> {
        self.state.arrived.borrow().clone()
    }

    /// Waits until so many requests have come.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Arrived> {
        let mut arrived = self.state.arrived.subscribe();
        let waiting = arrived.wait_for(|arrived| arrived.len() >= count);
        let waited = tokio::time::timeout(Duration::from_secs(20), waiting).await;
        waited.expect("the requests did not come").unwrap().clone()
    }

    /// Waits until so many connections were closed by the other side.
    pub(crate) async fn wait_for_closed(&self, count: usize) {
        let mut closed = self.state.closed.subscribe();
        let waiting = closed.wait_for(|closed| *closed >= count);
        let waited = tokio::time::timeout(Duration::from_secs(20), waiting).await;
        waited.expect("the connections stayed").unwrap();
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(stream: TcpStream, state: Arc<State>) {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read_request(&mut stream).await {
        let mut number = 0;
        state.arrived.send_modify(|arrived| {
            number = arrived.len();
            arrived.push(request);
        });
        let entry = state.script.lock().unwrap().get(number).cloned();
        let entry = entry.unwrap_or_else(|| serde_json::json!({"status": 500, "body": "{}"}));
        if !answer(&mut stream, &entry, &state).await {
            return;
        }
    }
}

async fn read_request(stream: &mut BufReader<TcpStream>) -> Option<Arrived> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok().filter(|n| *n > 0)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut headers = Vec::new();
    loop {
        let mut line = Vec::new();
        stream.read_until(b'\n', &mut line).await.ok()?;
        let line = String::from_utf8_lossy(&line);
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let mut arrived = Arrived {
        method,
        path,
        headers,
        body: String::new(),
    };
    let length = arrived.header("content-length").map(str::parse::<usize>);
    let mut body = vec![0; length.and_then(Result::ok).unwrap_or_default()];
    stream.read_exact(&mut body).await.ok()?;
    arrived.body = String::from_utf8(body).unwrap();
    Some(arrived)
}

/// Whether the connection goes on.
async fn answer(stream: &mut BufReader<TcpStream>, entry: &Value, state: &State) -> bool {
    if let Some(delay) = entry["delay_ms"].as_u64() {
        let mut byte = [0; 1];
        // The only waiting here is what the script asks for; a caller that leaves ends it.
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(delay)) => {}
            _ = stream.read(&mut byte) => {
                state.closed.send_modify(|closed| *closed += 1);
                return false;
            }
        }
    }
    if let Some(raw) = entry["raw"].as_str() {
        let _ = stream.write_all(raw.as_bytes()).await;
        return false;
    }
    let close = entry["close"].as_str().unwrap_or_default();
    if close == "before_answer" {
        return false;
    }
    let (head, body) = (head(entry), body(entry));
    let whole = [head.as_bytes(), &body].concat();
    let sent = match close {
        "in_head" => &whole[..head.len() - 3],
        "in_body" | "stall_in_body" => &whole[..whole.len() - body.len().div_ceil(2)],
        _ => &whole,
    };
    if stream.write_all(sent).await.is_err() {
        return false;
    }
    if close == "stall_in_body" {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        state.closed.send_modify(|closed| *closed += 1);
    }
    close.is_empty() && entry["no_length"] != true
}

fn body(entry: &Value) -> Vec<u8> {
    let mut body = entry["body"].as_str().unwrap_or_default().to_owned();
    for part in entry["body_parts"].as_array().into_iter().flatten() {
        match part {
            Value::String(text) => body.push_str(text),
            repeated => {
                let count = usize::try_from(repeated[1].as_u64().unwrap()).unwrap();
                body.push_str(&repeated[0].as_str().unwrap().repeat(count));
            }
        }
    }
    let mut body = body.into_bytes();
    if entry["gzip"] == true {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&body).unwrap();
        body = encoder.finish().unwrap();
    }
    if entry["chunked"] == true {
        let mut chunked = Vec::new();
        for chunk in body.chunks(7) {
            write!(chunked, "{:x}\r\n", chunk.len()).unwrap();
            chunked.extend_from_slice(chunk);
            chunked.extend_from_slice(b"\r\n");
        }
        chunked.extend_from_slice(b"0\r\n\r\n");
        body = chunked;
    }
    body
}

fn head(entry: &Value) -> String {
    let status = entry["status"].as_u64().unwrap_or(200);
    let reason = entry["reason"].as_str().unwrap_or("Whatever");
    let mut head = format!("HTTP/1.1 {status} {reason}\r\n");
    for header in entry["headers"].as_array().into_iter().flatten() {
        let (name, value) = (header[0].as_str().unwrap(), header[1].as_str().unwrap());
        head.extend([name, ": ", value, "\r\n"]);
    }
    if entry["gzip"] == true {
        head.push_str("Content-Encoding: gzip\r\n");
    }
    let bodiless = status == 204 || status == 304;
    if entry["chunked"] == true {
        head.push_str("Transfer-Encoding: chunked\r\n");
    } else if entry["no_length"] == true {
        head.push_str("Connection: close\r\n");
    } else if !bodiless {
        let length = body(entry).len().to_string();
        head.extend(["Content-Length: ", &length, "\r\n"]);
    }
    head.push_str("\r\n");
    head
}
