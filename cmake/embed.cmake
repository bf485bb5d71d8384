# embed(OUT FILE...): texts become constants of the program, since a page must need no second file. pages/report.css is then
#     extern const char rn_page_report_css[];   ending in NUL
# OUT receives the names of the generated sources. As a script (cmake -DIN=... -DOUT=... -DNAME=... -P) this file makes one of them.
if(CMAKE_SCRIPT_MODE_FILE)
  file(READ ${IN} hex HEX)
  string(REGEX REPLACE "(................................)" "\\1\n" hex "${hex}")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  file(WRITE ${OUT} "/* Made from a text by cmake/embed.cmake. */\nextern const char ${NAME}[];\nconst char ${NAME}[] = {\n${bytes}0};\n")
  return()
endif()
set(RN_EMBED_SCRIPT ${CMAKE_CURRENT_LIST_FILE})

function(embed out)
  foreach(path IN LISTS ARGN)
    get_filename_component(file ${path} NAME)
    string(REGEX REPLACE "[^a-z0-9]" "_" name "rn_page_${file}")
    set(made ${CMAKE_BINARY_DIR}/pages/${name}.c)
    add_custom_command(OUTPUT ${made} DEPENDS ${path} ${RN_EMBED_SCRIPT}
        COMMAND ${CMAKE_COMMAND} -DIN=${path} -DOUT=${made} -DNAME=${name} -P ${RN_EMBED_SCRIPT} VERBATIM)
    list(APPEND sources ${made})
  endforeach()
  set(${out} ${sources} PARENT_SCOPE)
endfunction()
