# Settings and helpers shared by every folder.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS ON) # __int128
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(asmjit REQUIRED)
# One file that needs no library: position-independent, or a guest linked for a fixed address could
# not have it.
option(LYREBIRD_STATIC "the program as one file that needs no library" OFF)
if(LYREBIRD_STATIC)
  add_compile_definitions(LYREBIRD_STATIC)
  find_library(CAPSTONE_STATIC libcapstone.a REQUIRED)
endif()
# As archives: a program that is started for every command should not wait for more libraries. Debian
# has no libfmt.a.
set(LYREBIRD_FMT fmt::fmt-header-only)
find_library(LYREBIRD_URING liburing.a REQUIRED)
find_library(LYREBIRD_FDT libfdt.a REQUIRED)
find_library(LYREBIRD_ZLIB libz.a REQUIRED)
find_library(LYREBIRD_ZSTD libzstd.a REQUIRED)
find_library(LYREBIRD_PNG libpng16.a REQUIRED)
find_program(CCACHE ccache)
if(CCACHE)
  # So that all checkouts on a machine share what one of them compiled.
  set(launcher ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${launcher})
  set(CMAKE_C_COMPILER_LAUNCHER ${launcher})
endif()

add_compile_options(-Wall -Wextra -Werror -Wno-missing-designated-field-initializers)
include_directories(${CMAKE_SOURCE_DIR})
add_compile_definitions($<$<CONFIG:Debug>:LYREBIRD_VERIFY_IR>) # ir::kVerify

# Release builds know which way the translator's hottest functions go: a profile of cold starts, made by
# ./dev profile with LYREBIRD_COUNT. A function that has changed since is compiled without one. Files
# are named in it without their folders, values are not counted.
option(LYREBIRD_COUNT "count where the time goes, for ./dev profile" OFF)
set(profile_flags "SHELL:-mllvm -disable-vp" "SHELL:-mllvm -static-func-full-module-prefix=false")
file(RELATIVE_PATH profile ${CMAKE_BINARY_DIR} ${CMAKE_SOURCE_DIR}/cmake/hot.profdata)
if(LYREBIRD_COUNT)
  list(APPEND profile_flags -fprofile-generate "SHELL:-mllvm -runtime-counter-relocation=true")
  add_link_options(-fprofile-generate)
  add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:${profile_flags}>")
elseif(CMAKE_BUILD_TYPE STREQUAL Release AND CMAKE_CXX_COMPILER_ID STREQUAL Clang)
  list(APPEND profile_flags -fprofile-use=${profile} -Wno-profile-instr-unprofiled
    -Wno-profile-instr-out-of-date -Wno-backend-plugin)
  # The build tool does not know that objects depend on it.
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/cmake/hot.profdata)
  file(SHA256 ${CMAKE_SOURCE_DIR}/cmake/hot.profdata profile_hash)
  string(SUBSTRING ${profile_hash} 0 8 profile_hash)
  list(APPEND profile_flags -DLYREBIRD_PROFILE=0x${profile_hash})
  add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:${profile_flags}>")
endif()

# Release builds of the program are optimised across the files of libraries that are HOT. Tests link the machine
# code that lies beside the bitcode in the same objects, so that only the program's link takes long.
if(CMAKE_BUILD_TYPE STREQUAL Release AND CMAKE_CXX_COMPILER_ID STREQUAL Clang AND NOT LYREBIRD_COUNT)
  set(across_compile -flto=thin -ffat-lto-objects -gno-split-dwarf) # gdb reads no split units that the linker has made
  set(across_link -flto=thin -Wl,-plugin-opt=dwo_dir= -Wl,--fat-lto-objects
    -Wl,--thinlto-cache-dir=${CMAKE_BINARY_DIR}/lto,--thinlto-cache-policy=cache_size_bytes=500m)
endif()

# lyrebird_library(folder [HOT] LINK libs... EXCLUDE patterns...): every .cpp below the folder becomes one
# static library, named as the folder with / turned into _.
function(lyrebird_library folder)
  cmake_parse_arguments(ARG "HOT" "" "LINK;EXCLUDE" ${ARGN})
  string(REPLACE "/" "_" name ${folder})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${folder}/*.cpp ${CMAKE_SOURCE_DIR}/${folder}/*.S)
  foreach(pattern ${ARG_EXCLUDE})
    list(FILTER sources EXCLUDE REGEX ${pattern})
  endforeach()
  if(sources)
    add_library(${name} STATIC ${sources})
    if(ARG_HOT AND across_compile)
      target_compile_options(${name} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:${across_compile}>)
    endif()
    target_link_libraries(${name} PUBLIC ${ARG_LINK})
  else()
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE ${ARG_LINK})
  endif()
endfunction()

# lyrebird_test(name SOURCES ... LINK libs...): a GoogleTest program, one ctest entry.
function(lyrebird_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_LINK} GTest::gtest_main GTest::gmock)
  add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
endfunction()
