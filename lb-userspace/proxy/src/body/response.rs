//! The body of a response, from an endpoint or from the proxy itself, to the client.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::{observe::Record, serve::UnderWay, upstream::UpstreamBody};

/// Why a response ended early; the client sees a broken connection or stream.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// The endpoint's connection broke.
    #[error("the endpoint broke off its response: {0}")]
    Broken(#[from] hyper::Error),
    /// The endpoint went silent.
    #[error("the endpoint sent nothing of its response for too long")]
    Timeout,
}

/// A response body that is counted into its request's [`Record`], which is closed when the body is dropped.
#[derive(Debug)]
pub(crate) struct ResponseBody {
    content: Content,
    record: Option<Record>,
    /// Its request is under way until the body is dropped.
    under_way: Option<UnderWay>,
}

#[derive(Debug)]
enum Content {
    /// From the proxy; empty after it was sent.
    Own(Bytes),
    Upstream(UpstreamBody),
}

impl ResponseBody {
    /// A text of the proxy's own.
    pub(crate) const fn own(text: Bytes) -> Self {
        Self { content: Content::Own(text), record: None, under_way: None }
    }

    /// What an endpoint answers.
    pub(crate) const fn upstream(body: UpstreamBody) -> Self {
        Self { content: Content::Upstream(body), record: None, under_way: None }
    }

    /// Counts into this record from now on.
    pub(crate) fn recorded(mut self, record: Record, under_way: UnderWay) -> Self {
        self.record = Some(record);
        under_way.wait_for_client();
        self.under_way = Some(under_way);
        self
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        if let Some(under_way) = &this.under_way {
            under_way.client_reads();
        }
        let frame = match &mut this.content {
            Content::Own(text) if text.is_empty() => Poll::Ready(None),
            Content::Own(text) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(text))))),
            Content::Upstream(body) => Pin::new(body).poll_frame(cx),
        };
        if let Some(under_way) = &this.under_way
            && frame.is_ready()
        {
            under_way.wait_for_client();
        }
        if let Some(record) = &mut this.record {
            match &frame {
                Poll::Ready(Some(Ok(frame))) => {
                    record.sent(frame.data_ref().map_or(0, Bytes::len));
                }
                Poll::Ready(Some(Err(_))) => record.broken(),
                Poll::Ready(None) | Poll::Pending => {}
            }
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Own(text) => text.is_empty(),
            Content::Upstream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Own(text) => SizeHint::with_exact(text.len() as u64),
            Content::Upstream(body) => body.size_hint(),
        }
    }
}
