//! Source `host-detections`: the present detections of all assets, page by page, joined with the knowledge base.

mod asking;
mod cached_pages;
mod knowledge_base;
mod page;
mod pull;
mod watermark;

pub(crate) use pull::Detections;
