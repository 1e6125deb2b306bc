"""The wire: the Hidden-State Protocol HSP/1 (docs/protocol.md), and what speaks it.

``frames`` are the bytes, ``tokens`` and ``rows`` what lies in them, ``codecs`` how numbers are written, ``prefix`` what
both sides call a history of tokens, ``routes`` where things are asked for; ``client`` asks, ``server`` answers. The
records of the JSON parts are in ``schemas/hsp.py``.

Over HTTP a request is one POST. Where tokens go along, its body is frames: one REQUEST with the JSON record of the
verb, then one TOKENS frame a sequence. The reply is a chunked body of ROWS frames, as they are computed, closed by one
END, or by one ERROR where something went wrong after the reply had begun. Chunks of HTTP mean nothing: a frame may be
spread over many of them. Over a WebSocket (not built yet) the same bytes are binary messages, each of whole frames.
"""
