//! A codec and a wire that do as they are told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::transport::Wire;
use crate::domain::ids::VenueId;
use crate::domain::request::{Answered, Call, Request, RequestId};
use crate::domain::time::Boot;
use crate::runtime::workers::Cuts;
use crate::venues::wire::{HttpOutcome, HttpRequest, HttpResponse, Lane, Method};
use crate::venues::{Codec, Part, Read, Reading, Signing};

pub(super) fn request_of(call: Call) -> Request {
    Request { id: RequestId(1), venue: VenueId(0), call, not_after: Boot::NEVER }
}

pub(super) fn answer_of(status: u16) -> HttpOutcome {
    HttpOutcome::Got(HttpResponse { status, headers: Vec::new(), body: Vec::new() })
}

pub(super) struct ScriptedCodec(Mutex<VecDeque<Reading>>);

impl ScriptedCodec {
    pub(super) fn new(readings: Vec<Reading>) -> ScriptedCodec {
        ScriptedCodec(Mutex::new(readings.into()))
    }
}

impl Codec for ScriptedCodec {
    fn request(&self, call: &Call, part: &Part, _: &Signing) -> Result<HttpRequest, Box<Answered>> {
        let lane = if call.raises_exposure() { Lane::Create } else { Lane::Read };
        let path_and_query = format!("/{}?part={}", call.word(), part.number);
        Ok(HttpRequest { method: Method::Get, path_and_query, headers: Vec::new(), body: None, lane })
    }

    fn read(&self, _: &Call, _: &Part, _: &HttpOutcome) -> Read {
        let reading = self.0.lock().unwrap().pop_front().expect("the script has an end");
        Read { reading, limits: Vec::new(), server_time: None }
    }
}

#[derive(Clone)]
pub(super) struct ScriptedWire {
    script: Arc<Mutex<VecDeque<HttpOutcome>>>,
    n_sent: Arc<Mutex<usize>>,
}

impl ScriptedWire {
    pub(super) fn new(script: Vec<HttpOutcome>) -> ScriptedWire {
        ScriptedWire { script: Arc::new(Mutex::new(script.into())), n_sent: Arc::default() }
    }

    pub(super) fn n_sent(&self) -> usize {
        *self.n_sent.lock().unwrap()
    }
}

impl Wire for ScriptedWire {
    fn send(&mut self, _: &HttpRequest, _: Duration, may_leave: &dyn Fn() -> bool) -> HttpOutcome {
        if !may_leave() {
            return HttpOutcome::NotSent("the gate is shut".into());
        }
        *self.n_sent.lock().unwrap() += 1;
        self.script.lock().unwrap().pop_front().expect("the script has an end")
    }

    fn cuts(&self) -> Cuts {
        Cuts { creates: Box::new(|| {}), all: Box::new(|| {}) }
    }
}
