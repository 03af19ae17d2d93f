//! Source `host-detections`: the current detections of all assets, page by page, joined with the knowledge
//! base.

mod cached_pages;
mod knowledge_base;
mod next_page;
mod page;
mod page_requests;
mod page_size;
mod pull;
mod share;
mod watermark;

pub(crate) use pull::Detections;
