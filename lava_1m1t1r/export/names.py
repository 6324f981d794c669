"""Names that a user chooses for an export: prefix of the C functions, top module of the Verilog."""

from __future__ import annotations

import re
from typing import Any

from ..errors import require

LONGEST = 200
"""Largest length of a name [characters]: files are called NAME.c or NAME.v, and a file's name has at most 255."""
HEADERS = frozenset(
    "assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal stdalign stdarg stdatomic stdbool stdbit "
    "stdckdint stddef stdint stdio stdlib stdnoreturn string tgmath threads time uchar wchar wctype "
    "alloca corecrt crtdefs endian features newlib picolibc runetype sal strings syslimits vadefs vcruntime xlocale yvals".split()
)
"""Names of C's own headers, and of those that these include in widespread libraries; NAME.h would hide them. C's keywords are allowed,
for what is declared is called NAME_step, NAME_reset, ..."""
KEYWORDS = frozenset(
    "accept_on alias always always_comb always_ff always_latch and assert assign assume automatic before begin bind bins binsof bit "
    "break buf bufif0 bufif1 byte case casex casez cell chandle checker class clocking cmos config const constraint context continue "
    "cover covergroup coverpoint cross deassign default defparam design disable dist do edge else end endcase endchecker endclass "
    "endclocking endconfig endfunction endgenerate endgroup endinterface endmodule endpackage endprimitive endprogram endproperty "
    "endsequence endspecify endtable endtask enum event eventually expect export extends extern final first_match for force foreach "
    "forever fork forkjoin function generate genvar global highz0 highz1 if iff ifnone ignore_bins illegal_bins implements implies "
    "import incdir include initial inout input inside instance int integer interconnect interface intersect join join_any join_none "
    "large let liblist library local localparam logic longint macromodule matches medium modport module nand negedge nettype new "
    "nexttime nmos nor noshowcancelled not notif0 notif1 null or output package packed parameter pmos posedge primitive priority "
    "program property protected pull0 pull1 pulldown pullup pulsestyle_ondetect pulsestyle_onevent pure rand randc randcase "
    "randsequence rcmos real realtime ref reg reject_on release repeat restrict return rnmos rpmos rtran rtranif0 rtranif1 s_always "
    "s_eventually s_nexttime s_until s_until_with scalared sequence shortint shortreal showcancelled signed small soft solve specify "
    "specparam static string strong strong0 strong1 struct super supply0 supply1 sync_accept_on sync_reject_on table tagged task this "
    "throughout time timeprecision timeunit tran tranif0 tranif1 tri tri0 tri1 triand trior trireg type typedef union unique unique0 "
    "unsigned until until_with untyped use uwire var vectored virtual void wait wait_order wand weak weak0 weak1 while wildcard wire "
    "with within wor xnor xor".split()
)
"""Keywords of SystemVerilog (IEEE 1800-2017, Annex B), among them those of Verilog."""
TAKEN = frozenset("bench bool wreal std clk rst in_valid in_ready in_last in_addr out_valid out_ready out_last out_data".split())
"""Names in use: the test bench, words of Icarus and Verilator, and the top module's ports, whose names Verilator wants for the ports
alone."""


def _is_identifier(name: Any) -> bool:
    return isinstance(name, str) and len(name) <= LONGEST and re.fullmatch("[a-z][a-z0-9_]*", name) is not None


def c_prefix(name: Any) -> str:
    """Return ``name`` if C's files and functions can have it; an InputError says what it must be."""
    rule = f"be a lower-case C identifier of at most {LONGEST} characters that begins with a letter"
    require(_is_identifier(name), "name", rule, name, "Use letters, digits and _.")
    require(name not in HEADERS, "name", f"not be a header of C: it would hide <{name}.h>", name, f"Call it my_{name}.")
    return name


_WIRES = re.compile("(ready|clear|resume|word|sums|push|full|empty|pop|sent|data|rec_[a-z]+)_[0-9]+")  # of the top module, a layer each


def verilog_module(name: Any) -> str:
    """Return ``name`` if the top module can have it; an InputError says what it must be."""
    good = _is_identifier(name) and not name.startswith("m1t1r_")
    rule = f"be a lower-case Verilog identifier of at most {LONGEST} characters that does not begin with m1t1r_"
    require(good, "name", rule, name, "Use letters, digits and _.")
    require(name not in KEYWORDS, "name", "not be a keyword of Verilog or SystemVerilog", name, f"Call it my_{name}.")
    taken = name in TAKEN or _WIRES.fullmatch(name)
    require(not taken, "name", "not be taken by the bench, a port, a wire of the design or a tool", name, f"Call it my_{name}.")
    return name
