//! Messages that are handed over as they are.
//!
//! Between two processes a message becomes bytes and a message again. Within one, the body of a call is polled where it
//! is read: what its encoder is given meanwhile waits [here](Handover), and each message goes to its decoder beside a
//! frame that says no more than that there is one.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::marker::PhantomData;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::body::{Body as _, Buf as _, Bytes, Frame};
use prost::Message;
use tonic::Status;
use tonic::body::Body;
use tonic::codec;
use tonic_prost::{ProstDecoder, ProstEncoder};

type Messages = VecDeque<Box<dyn Any + Send>>;

thread_local! {
    /// Where encoders leave their messages while a body that stays in this process is polled.
    static LEFT: RefCell<Option<Messages>> = const { RefCell::new(None) };
    /// The message of the frame that was read last: who reads a frame decodes it before doing anything else.
    static NEXT: Cell<Option<Box<dyn Any + Send>>> = const { Cell::new(None) };
}

/// How gRPC says that a message of no bytes follows: not compressed, and four bytes of length.
const FRAME: &[u8] = &[0; 5];
/// How many messages are taken from those who have more before they are read.
const TOGETHER: usize = 64;

/// Protobuf over the network, and the messages themselves within a process. The contracts' generated code names it.
#[derive(Clone, Debug)]
pub struct Codec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for Codec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> codec::Codec for Codec<T, U>
where
    T: Message + 'static,
    U: Message + Default + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = Encoder<T>;
    type Decoder = Decoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        Encoder(ProstEncoder::default())
    }

    fn decoder(&mut self) -> Self::Decoder {
        Decoder(ProstDecoder::default())
    }
}

/// The sending half of [`Codec`].
#[derive(Debug)]
pub struct Encoder<T>(ProstEncoder<T>);

impl<T: Message + 'static> codec::Encoder for Encoder<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, item: T, buffer: &mut codec::EncodeBuf<'_>) -> Result<(), Status> {
        LEFT.with_borrow_mut(|left| match left {
            Some(messages) => {
                messages.push_back(Box::new(item));
                Ok(())
            }
            None => self.0.encode(item, buffer),
        })
    }

    fn buffer_settings(&self) -> codec::BufferSettings {
        if LEFT.with_borrow(Option::is_some) {
            let bytes = TOGETHER * FRAME.len();
            return codec::BufferSettings::new(bytes, bytes);
        }
        self.0.buffer_settings()
    }
}

/// The receiving half of [`Codec`].
#[derive(Debug)]
pub struct Decoder<U>(ProstDecoder<U>);

impl<U: Message + Default + 'static> codec::Decoder for Decoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut codec::DecodeBuf<'_>) -> Result<Option<U>, Status> {
        if !buffer.has_remaining()
            && let Some(message) = NEXT.take()
        {
            let message = message.downcast();
            return message.map(|message| Some(*message)).map_err(|_| {
                Status::internal("a message of one kind was handed over as another kind")
            });
        }
        self.0.decode(buffer)
    }
}

/// A body whose messages are handed over. What is no gRPC by [`Codec`] passes as it is.
pub(super) struct Handover {
    body: Body,
    messages: Messages,
}

impl Handover {
    pub(super) fn of(body: Body) -> Body {
        Body::new(Self {
            body,
            messages: Messages::new(),
        })
    }

    /// Polls the body and keeps the messages that come with it.
    fn poll_messages(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let outer = Outer(LEFT.replace(Some(mem::take(&mut self.messages))));
        let polled = Pin::new(&mut self.body).poll_frame(context);
        self.messages = LEFT.take().unwrap_or_default();
        drop(outer);
        polled
    }
}

/// Where messages were left before a body was polled, and are again afterwards, whatever became of the poll.
struct Outer(Option<Messages>);

impl Drop for Outer {
    fn drop(&mut self) {
        LEFT.set(self.0.take());
    }
}

impl hyper::body::Body for Handover {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        if this.messages.is_empty() {
            let frame = ready!(this.poll_messages(context));
            if this.messages.is_empty() {
                return Poll::Ready(frame);
            }
            // Whoever encodes for somebody else while this body is polled would be found out here.
            let frame = frame.transpose()?;
            let bytes = frame.as_ref().and_then(Frame::data_ref).map(Bytes::len);
            if bytes != Some(this.messages.len() * FRAME.len()) {
                return Poll::Ready(Some(Err(Status::internal(
                    "messages were left that do not belong to their frames",
                ))));
            }
        }
        NEXT.set(this.messages.pop_front());
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(FRAME)))))
    }

    fn is_end_stream(&self) -> bool {
        self.messages.is_empty() && self.body.is_end_stream()
    }
}
