//! Tests of spans, of the context that they pass on and of the texts that are read.

use parking_lot::Mutex;

use super::*;

#[derive(Debug, Default)]
struct Kept(Mutex<(u8, Vec<EndedSpan>)>);

impl Tracer for Kept {
    fn new_span_id(&self) -> SpanId {
        let mut kept = self.0.lock();
        kept.0 += 1;
        SpanId::new([kept.0; 8]).unwrap()
    }
    fn samples(&self, _: TraceId) -> bool {
        true
    }
    fn ended(&self, span: EndedSpan) {
        self.0.lock().1.push(span);
    }
}

const ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn resumed(tracer: &Arc<Kept>, sampled: bool) -> Trace {
    let tracer: Arc<dyn Tracer> = Arc::<Kept>::clone(tracer);
    let state = TraceState::read("vendor=a:1, other=2");
    let (id, parent) = (TraceId::read(ID).unwrap(), SpanId::read("00f067aa0ba902b7").unwrap());
    Trace::resume(tracer, id, parent, sampled, state)
}

#[test]
fn spans_have_the_parents_that_they_began_in() {
    let tracer = Arc::<Kept>::default();
    let mut outer = Span::begin(&resumed(&tracer, true), SpanKind::Server, "outer");
    outer.set("n", 7u64);
    drop(outer.child(SpanKind::Internal, || "inner"));
    let headers = outer.trace().unwrap().headers();
    assert_eq!(headers[0], ("traceparent", format!("00-{ID}-0101010101010101-01")));
    assert_eq!(headers[1], ("tracestate", "vendor=a:1,other=2".to_owned()));
    outer.fail("late");
    drop(outer);
    let ended = tracer.0.lock().1.clone();
    let names: Vec<_> = ended.iter().map(|span| (&*span.name, span.failed)).collect();
    assert_eq!(names, [("inner", false), ("outer", true)]);
    assert_eq!(ended[0].parent, Some(ended[1].id));
    assert_eq!(ended[1].parent, SpanId::read("00f067aa0ba902b7"));
    let expected = [("n", SpanValue::Number(7)), ("error.type", "late".into())];
    assert_eq!(ended[1].attributes, expected);
}

#[test]
fn a_trace_that_is_not_sampled_is_passed_on_and_has_no_spans() {
    let tracer = Arc::<Kept>::default();
    let span = Span::begin(&resumed(&tracer, false), SpanKind::Server, "outer");
    let expected = format!("00-{ID}-0101010101010101-00");
    assert_eq!(span.trace().unwrap().headers()[0].1, expected);
    drop(span);
    Span::begin(&resumed(&tracer, true), SpanKind::Server, "unwanted").discard();
    assert!(tracer.0.lock().1.is_empty());
}

#[test]
fn without_a_trace_nothing_is_made() {
    let mut span = Span::default().child(SpanKind::Internal, || -> &str { unreachable!() });
    span.set("n", 7u64);
    span.rename(|| unreachable!());
    assert!(span.trace().is_none());
}

#[test]
fn ids_are_lower_case_hex_and_not_zero() {
    assert_eq!(TraceId::read(ID).unwrap().to_string(), ID);
    let zero = "0".repeat(32);
    for bad in ["", "4bf92f", &ID.to_uppercase(), &zero, &ID.replace('4', "g"), &ID[1..]] {
        assert!(TraceId::read(bad).is_none(), "{bad}");
    }
    assert!(SpanId::read("0000000000000000").is_none());
}

#[test]
fn only_a_valid_state_is_passed_on() {
    let read = |text: &str| TraceState::read(text).map(|state| state.as_str().to_owned());
    assert_eq!(read("a=1 , b@c=x y,,").as_deref(), Some("a=1,b@c=x y"));
    let many = vec!["a=1"; 33].join(",");
    let long = format!("a={}", "x".repeat(257));
    for bad in ["", "a", "=1", "A=1", "a=", "a=1=2", "a=ä", "_a=1", &many, &long] {
        assert_eq!(read(bad), None, "{bad}");
    }
}
