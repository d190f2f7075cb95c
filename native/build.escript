#!/usr/bin/env escript
%% -*- erlang -*-
%%! -noinput
%% Puts the native library into priv/ when it is not there yet or has changed: rebar3 and Mix call
%% this before they compile, from any folder. The library is precompiled or built by cargo.
%%
%%     escript native/build.escript
%%     escript native/build.escript --needs-cargo   ends with 0 when only cargo can make it, else 1
%%
%% The modules of native/build/ do it. They are compiled here, in memory: whoever depends on ram has
%% compiled nothing of it yet.
main(Arguments) ->
    Script = filename:absname(escript:script_name()),
    ok = file:set_cwd(filename:dirname(filename:dirname(Script))),
    _ = [load(File) || File <- filelib:wildcard("native/build/*.erl")],
    halt(ram_build:main(Arguments)).

load(File) ->
    {ok, Module, Code} = compile:file(File, [binary, report]),
    {module, Module} = code:load_binary(Module, File, Code).
