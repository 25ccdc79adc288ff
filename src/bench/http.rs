//! The cheapest HTTP client that will do: one connection, one request at a time, bytes in and
//! bytes out, so that what is measured is the server.

use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const ROOM: usize = 16 * 1024;

/// A connection that is kept alive.
pub(super) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
}

/// An answer, as long as the next request is not sent.
pub(super) struct Answer<'a> {
    pub(super) status: u16,
    pub(super) body: &'a [u8],
}

/// Where an answer's body is.
struct Head {
    status: u16,
    body: usize,
    length: usize,
}

impl Connection {
    pub(super) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)
            .await
            .with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true).context("cannot set TCP_NODELAY")?;
        Ok(Self {
            stream,
            buffer: vec![0; ROOM],
            filled: 0,
        })
    }

    /// Sends a complete request and reads the answer.
    pub(super) async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<Answer<'_>> {
        self.stream
            .write_all(request)
            .await
            .context("cannot send a request")?;
        self.filled = 0;
        let head = loop {
            self.read().await?;
            if let Some(head) = head(&self.buffer[..self.filled])? {
                break head;
            }
        };
        while self.filled < head.body + head.length {
            self.read().await?;
        }
        Ok(Answer {
            status: head.status,
            body: &self.buffer[head.body..head.body + head.length],
        })
    }

    async fn read(&mut self) -> anyhow::Result<()> {
        if self.filled == self.buffer.len() {
            self.buffer.resize(self.filled * 2, 0);
        }
        let read = self
            .stream
            .read(&mut self.buffer[self.filled..])
            .await
            .context("cannot read an answer")?;
        if read == 0 {
            bail!("the server closed the connection in the middle of an answer");
        }
        self.filled += read;
        Ok(())
    }
}

/// The head, once it is complete.
fn head(bytes: &[u8]) -> anyhow::Result<Option<Head>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = std::str::from_utf8(&bytes[..end]).context("the answer's head is no text")?;
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    let status = status.and_then(|status| status.parse().ok());
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse().ok()).flatten()
    });
    Ok(Some(Head {
        status: status.context("the answer has no status")?,
        body: end + 4,
        length: length.context("the answer does not say how long it is")?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_once_it_is_complete() {
        let bytes = b"HTTP/1.1 200 OK\r\ncontent-type: x\r\nContent-Length: 2\r\n\r\n{}";
        assert!(head(&bytes[..40]).unwrap().is_none());
        let head = head(bytes).unwrap().unwrap();
        assert_eq!((head.status, head.length), (200, 2));
        assert_eq!(&bytes[head.body..], b"{}");
    }

    #[test]
    fn an_answer_without_a_length_is_refused() {
        assert!(head(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
