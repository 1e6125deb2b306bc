"""The server of HSP/1, ``nightschool serve``: the trunk of one base for many, and nothing of theirs but open sessions.

``web`` speaks HTTP and knows no model; ``service`` answers the verbs; ``sessions`` remembers, under a budget of bytes;
``scheduler`` is the one thread that computes, for all sessions together; ``keys`` says who may ask, ``allowance`` how
much; ``metrics`` and ``journal`` tell the operator how it goes, never what is said. ``run`` puts them together.
"""
