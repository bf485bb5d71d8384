# cmake --install: program, libraries, headers, resnet.pc, the CMake package, man page and completion.
option(RN_INSTALL "Install rules; off where resnet is a part of another project" ${PROJECT_IS_TOP_LEVEL})
if(NOT RN_INSTALL)
  return()
endif()
include(CMakePackageConfigHelpers)

set(rn_package ${CMAKE_INSTALL_LIBDIR}/cmake/resnet)
set(rn_targets resnet_static)
if(TARGET resnet)
  list(APPEND rn_targets resnet)
endif()
install(TARGETS ${rn_targets} EXPORT resnet-targets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
  INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT resnet-targets NAMESPACE resnet:: DESTINATION ${rn_package})
configure_package_config_file(packaging/resnet-config.cmake.in ${CMAKE_CURRENT_BINARY_DIR}/resnet-config.cmake INSTALL_DESTINATION ${rn_package})
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/resnet-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/resnet-config.cmake ${CMAKE_CURRENT_BINARY_DIR}/resnet-config-version.cmake DESTINATION ${rn_package})

# Only what the library links itself: Requires.private would also ask for the private needs of libsndfile, which Debian's package does not bring along.
set(RN_PC_LIBS "")
foreach(library IN LISTS JANSSON_LIBRARIES SNDFILE_LIBRARIES SAMPLERATE_LIBRARIES JPEG_LIBRARIES PNG_LIBRARIES WEBP_LIBRARIES ZLIB_LIBRARIES ARCHIVE_LIBRARIES XXHASH_LIBRARIES CAIRO_LIBRARIES)
  string(APPEND RN_PC_LIBS "-l${library} ")
endforeach()
set(rn_headers include/resnet.h)
if(RN_MEDIA)
  list(APPEND rn_headers include/resnet_tools.h)
endif()
file(RELATIVE_PATH RN_PC_UP /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" RN_PC_UP "${RN_PC_UP}")
configure_file(packaging/resnet.pc.in ${CMAKE_CURRENT_BINARY_DIR}/resnet.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/resnet.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(FILES ${rn_headers} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

if(TARGET resnet_program)
  install(TARGETS resnet_program RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  install(FILES packaging/resnet.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
  install(FILES packaging/resnet.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME resnet)
endif()
install(FILES LICENSE README.md CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
