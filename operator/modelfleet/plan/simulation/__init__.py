"""Replay traces of requests through a decision about replicas and a model of an engine.

`traceformats` and `generated` make `traces`; `replay` sends one through a `fleet` of `engine`s that
a scaler sizes; `outcome` measures. Instants are seconds since the trace began: floats, because
nothing here is billed.
"""
