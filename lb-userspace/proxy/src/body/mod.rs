//! Bodies on their way through the proxy: streamed, counted, with a deadline for whoever has to go on.

mod request;
mod response;

pub(crate) use self::{
    request::{BodyFailure, RequestBody},
    response::{BodyError, ResponseBody},
};
