"""Where each verb of HSP/1 is asked for, below the server's address; client and server both read it here."""

from __future__ import annotations

DESCRIBE = "/hsp/1/describe"  # GET    -> Description
SESSIONS = "/hsp/1/sessions"  # POST   Open -> Opened
SESSION = "/hsp/1/sessions/{session}"  # DELETE -> 204, also for an unknown one
STEP = "/hsp/1/sessions/{session}/step"  # POST   REQUEST(Step) TOKENS -> ROWS... END(StepEnd)
STREAM = "/hsp/1/sessions/{session}/stream"  # POST   REQUEST(Stream) TOKENS -> ROWS... END(StepEnd)
CORRECT = "/hsp/1/sessions/{session}/correct"  # POST   REQUEST(Correct) TOKENS -> 204
CONTENTS = "/hsp/1/contents"  # GET    -> Contents
FILE = "/hsp/1/files/{name}"  # GET    -> bytes
TENSOR = "/hsp/1/tensors/{name}"  # GET    -> bytes; Range: bytes=N- or N-M
CAPTURE = "/hsp/1/capture"  # POST   REQUEST(Capture) TOKENS... -> ROWS... END(CaptureEnd)
SOCKET = "/hsp/1/socket"  # GET, upgraded: the bodies of step, stream and capture as messages of a WebSocket

HEALTH = "/healthz"  # GET, without a key: 200, or 503 while it shuts down
METRICS = "/metrics"  # GET: Prometheus
