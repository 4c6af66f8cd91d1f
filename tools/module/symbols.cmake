# What the module wants of the program, as lyrebird_module_symbols (base/module.cpp): this also makes the linker
# take it from the C library's archive. cmake -DNM=... -DMODULE=... -DOUT=... -P symbols.cmake
execute_process(COMMAND ${NM} --dynamic --undefined-only --format=posix ${MODULE}
  OUTPUT_VARIABLE lines COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "[^\n]+" lines "${lines}")
set(rows "")
set(names "")
foreach(line ${lines})
  # What is weak may be missing: hooks of profilers and the like.
  if(NOT line MATCHES "^([^ ]+) U")
    continue()
  endif()
  set(name ${CMAKE_MATCH_1})
  set(value ${name})
  if(name STREQUAL "__tls_get_addr")
    set(value lyrebird_module_tls)
  endif()
  string(APPEND rows "    .long .Lname_${name} - ., ${value} - .\n")
  string(APPEND names ".Lname_${name}: .asciz \"${name}\"\n")
endforeach()
file(WRITE ${OUT} "    .section .rodata.lyrebird_module_symbols, \"a\", @progbits
    .globl lyrebird_module_symbols
    .balign 4
lyrebird_module_symbols:
${rows}    .long 0, 0
${names}
    .section .note.GNU-stack, \"\", @progbits
")
