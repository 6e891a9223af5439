//! The backend in memory keeps every promise, and the suite detects each broken one.

use life_agent_observer::testing::{Broken, Fault, Memory, conformance};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_backend_in_memory_keeps_every_promise() {
    conformance::run(Memory::new).await.assert_passed();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_is_detected() {
    for fault in Fault::ALL {
        let broken = || Broken { inner: Memory::new(), fault };
        let report = conformance::run_where(broken, |name| name == fault.detected_by()).await;
        assert_eq!(report.failed(), [fault.detected_by()], "{fault:?}");
    }
}
