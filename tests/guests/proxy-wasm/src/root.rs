//! The plugin context: configuration, ticks, queues.

use std::cell::RefCell;
use std::time::Duration;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext, StreamContext};
use proxy_wasm::types::{ContextType, MetricType};

use crate::bytes::{Bytes, HELD};
use crate::http::Stream;

thread_local! {
    /// Streams that are not done until the next tick.
    pub(crate) static UNDONE: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
}

#[derive(Default)]
pub(crate) struct Root {
    vm: String,
    plugin: String,
}

impl Context for Root {
    fn on_foreign_function(&mut self, function: u32, length: usize) {
        let arguments = hostcalls::get_buffer(proxy_wasm::types::BufferType::CallData, 0, length).unwrap();
        let text = format!("{function}:{}", String::from_utf8(arguments.unwrap_or_default()).unwrap());
        hostcalls::set_shared_data("foreign", Some(text.as_bytes()), None).unwrap();
    }
}

impl RootContext for Root {
    fn on_vm_start(&mut self, _: usize) -> bool {
        self.vm = String::from_utf8(self.get_vm_configuration().unwrap_or_default()).unwrap();
        self.vm != "refuse"
    }

    fn on_configure(&mut self, _: usize) -> bool {
        self.plugin = String::from_utf8(self.get_plugin_configuration().unwrap_or_default()).unwrap();
        if self.plugin.contains("queue") {
            self.register_shared_queue("q");
        }
        if self.plugin.contains("metrics") {
            for (kind, name) in
                [(MetricType::Counter, "seen.requests"), (MetricType::Gauge, "level"), (MetricType::Histogram, "sizes")]
            {
                hostcalls::define_metric(kind, name).unwrap();
            }
        }
        if self.plugin.contains("tick") {
            self.set_tick_period(Duration::from_millis(5));
        }
        self.plugin != "refuse"
    }

    fn on_tick(&mut self) {
        let ticks = hostcalls::get_shared_data("ticks").unwrap().0.map_or(0, |ticks| ticks.len());
        hostcalls::set_shared_data("ticks", Some(&vec![b'.'; ticks + 1]), None).unwrap();
        for context in UNDONE.take() {
            hostcalls::set_effective_context(context).unwrap();
            hostcalls::done().unwrap();
        }
        for context in HELD.take() {
            // One that is over is not there any more.
            if hostcalls::set_effective_context(context).is_ok() {
                hostcalls::resume_downstream().unwrap();
                hostcalls::resume_upstream().unwrap();
            }
        }
    }

    fn on_queue_ready(&mut self, queue: u32) {
        while let Some(item) = self.dequeue_shared_queue(queue).unwrap() {
            hostcalls::set_shared_data("queued", Some(&item), None).unwrap();
        }
    }

    fn create_http_context(&self, context: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream::new(context, self.vm.clone(), self.plugin.clone())))
    }

    fn create_stream_context(&self, context: u32) -> Option<Box<dyn StreamContext>> {
        Some(Box::new(Bytes::new(context, self.plugin.clone())))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(if self.plugin.contains("bytes") { ContextType::StreamContext } else { ContextType::HttpContext })
    }
}
