%% The application: starts the supervisor, which starts the rest. It has started when the member of
%% this node serves, or is known not to.
-module(ram_app).
-behaviour(application).

-export([start/2, stop/1]).

-spec start(application:start_type(), term()) -> {ok, pid()} | {error, term()}.
start(_Type, _Args) ->
    case ram_config:read() of
        {ok, Settings} -> start_checked(Settings, ram_node:check(Settings));
        {error, Reason} -> {error, Reason}
    end.

start_checked(Settings, ok) ->
    Started = ram_sup:start_link(Settings),
    %% Whatever the answer is: the supervisor answers for its processes from here on.
    _ = ram_node:await(),
    Started;
start_checked(_Settings, {error, Reason}) ->
    {error, Reason}.

-spec stop(term()) -> ok.
stop(_State) ->
    ok.
