//! The cheapest HTTP that will do, for clients and for the external system: one message at a time,
//! bytes in and bytes out, so that what is measured is the mesh.

use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const ROOM: usize = 16 * 1024;

/// One end of a connection that is kept alive.
pub(super) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
    /// Bytes of the message that was handed out last.
    used: usize,
}

/// A request or an answer, as long as the next one is not read.
pub(super) struct Message<'a> {
    /// Its first line.
    line: &'a [u8],
    pub(super) body: &'a [u8],
}

impl Message<'_> {
    /// The status of an answer; 0: there is none.
    pub(super) fn status(&self) -> u16 {
        let status = self.word(1);
        let status = std::str::from_utf8(status).unwrap_or_default();
        status.parse().unwrap_or(0)
    }

    /// The target of a request.
    pub(super) fn target(&self) -> &str {
        std::str::from_utf8(self.word(1)).unwrap_or_default()
    }

    fn word(&self, n: usize) -> &[u8] {
        let mut words = self.line.split(|byte| *byte == b' ');
        words.nth(n).unwrap_or_default()
    }
}

/// Where the parts of a message are.
struct Head {
    line: usize,
    body: usize,
    length: Option<usize>,
}

impl Connection {
    pub(super) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)
            .await
            .with_context(|| format!("cannot connect to {address}"))?;
        Self::new(stream)
    }

    pub(super) fn new(stream: TcpStream) -> anyhow::Result<Self> {
        stream.set_nodelay(true).context("cannot set TCP_NODELAY")?;
        Ok(Self {
            stream,
            buffer: vec![0; ROOM],
            filled: 0,
            used: 0,
        })
    }

    /// Sends a complete request and reads the answer.
    pub(super) async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<Message<'_>> {
        self.send(request).await?;
        let Some(head) = self.read().await? else {
            bail!("the server closed the connection instead of answering");
        };
        if head.length.is_none() {
            bail!("the answer does not say how long it is");
        }
        Ok(self.message(&head))
    }

    /// Sends a complete message.
    pub(super) async fn send(&mut self, message: &[u8]) -> anyhow::Result<()> {
        let sent = self.stream.write_all(message).await;
        sent.context("cannot send")
    }

    /// The next request; `None` when there will be no more.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<Message<'_>>> {
        let head = self.read().await?;
        Ok(head.map(|head| self.message(&head)))
    }

    /// Completes when the other end has gone, whatever it says before that.
    pub(super) async fn gone(mut self) {
        while self
            .stream
            .read(&mut self.buffer)
            .await
            .is_ok_and(|read| read > 0)
        {}
    }

    fn message(&self, head: &Head) -> Message<'_> {
        Message {
            line: &self.buffer[..head.line],
            body: &self.buffer[head.body..self.used],
        }
    }

    /// Reads a whole message to the beginning of the buffer.
    async fn read(&mut self) -> anyhow::Result<Option<Head>> {
        self.buffer.copy_within(self.used..self.filled, 0);
        self.filled -= self.used;
        self.used = 0;
        loop {
            if let Some(head) = head(&self.buffer[..self.filled])? {
                let end = head.body + head.length.unwrap_or(0);
                if self.filled >= end {
                    self.used = end;
                    return Ok(Some(head));
                }
            }
            if self.filled == self.buffer.len() {
                self.buffer.resize(self.filled * 2, 0);
            }
            let read = self.stream.read(&mut self.buffer[self.filled..]).await;
            let read = read.context("cannot read")?;
            if read == 0 && self.filled == 0 {
                return Ok(None);
            }
            if read == 0 {
                bail!("the connection was closed in the middle of a message");
            }
            self.filled += read;
        }
    }
}

/// The head, once it is complete.
fn head(bytes: &[u8]) -> anyhow::Result<Option<Head>> {
    const NAME: &[u8] = b"content-length:";
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let mut lines = bytes[..end].split(|byte| *byte == b'\n');
    let line = lines.next().map_or(0, <[u8]>::len);
    let length = lines.find_map(|line| {
        let (name, value) = line.split_at_checked(NAME.len())?;
        name.eq_ignore_ascii_case(NAME).then_some(value)
    });
    let length = length.map(|value| {
        let value = std::str::from_utf8(value.trim_ascii()).unwrap_or_default();
        value.parse().context("a length is no number")
    });
    Ok(Some(Head {
        line,
        body: end + 4,
        length: length.transpose()?,
    }))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn a_head_is_read_once_it_is_complete() {
        let bytes = b"HTTP/1.1 200 OK\r\ncontent-type: x\r\nContent-Length: 2\r\n\r\n{}";
        assert!(head(&bytes[..40]).unwrap().is_none());
        let head = head(bytes).unwrap().unwrap();
        assert_eq!(head.length, Some(2));
        assert_eq!(&bytes[head.body..], b"{}");
        let line = &bytes[..head.line];
        assert_eq!(Message { line, body: b"" }.status(), 200);
    }

    #[test]
    fn a_length_that_is_no_number_is_refused() {
        assert!(head(b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n").is_err());
    }

    #[tokio::test]
    async fn messages_that_come_together_are_read_one_by_one() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = Connection::open(listener.local_addr().unwrap())
            .await
            .unwrap();
        let mut server = Connection::new(listener.accept().await.unwrap().0).unwrap();
        let first = b"POST /a HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc";
        client.send(first).await.unwrap();
        client.send(b"GET /b HTTP/1.1\r\n\r\n").await.unwrap();
        drop(client);
        let message = server.next().await.unwrap().unwrap();
        assert_eq!((message.target(), message.body), ("/a", &b"abc"[..]));
        let message = server.next().await.unwrap().unwrap();
        assert_eq!((message.target(), message.body), ("/b", &b""[..]));
        assert!(server.next().await.unwrap().is_none());
    }
}
