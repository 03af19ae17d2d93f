//! Tests of the host's delivery, in `tests/`: with the rogue plugins, which fail, hang, refuse rows and break the plugin
//! contract on request.
