%% @doc Names of processes: each of one process in the whole cluster.
-module(ram_registry).

-export([register_name/2, unregister_name/1, whereis_name/1, send/2, names/0]).

-define(TABLE, {'$ram_registry', set}).
-define(NAME, '$ram_registry').
-define(DEPTH, 12).

-spec register_name(Name :: term(), pid()) -> yes | no.
register_name(Name, Pid) ->
    Call = {?MODULE, register_name, [Name, Pid]},
    is_pid(Pid)
        orelse ram_arguments:wrong(Call, 2, "must be a process, and is ~0tP", [Pid, ?DEPTH]),
    register_if([{none, Name, absent}], [], Name, Pid, Call).

%% A process that has ended here need not be waited for: its supervisor may start it again before
%% the cluster knows.
register_if(Conditions, Deletes, Name, Pid, Call) ->
    Put = ram_own_table:owned(Name, Pid, Pid),
    Look = [{get, none, Name}],
    case ram_own_table:run(?TABLE, default, Conditions, Deletes ++ [Put], Look, Call) of
        {ran, true, _, []} -> yes;
        {ran, false, _, [none]} -> register_if([{none, Name, absent}], [], Name, Pid, Call);
        {ran, false, _, [Held]} ->
            case is_gone(ram_request:decoded(element(1, Held), Name, Call)) of
                true ->
                    Same = [{none, Name, {rev, '=', element(2, Held)}}],
                    register_if(Same, [{delete, none, Name}], Name, Pid, Call);
                false -> no
            end;
        {error, Reason} -> ram_write:failed(Reason, [], Call)
    end.

-spec unregister_name(Name :: term()) -> ok.
unregister_name(Name) ->
    Call = {?MODULE, unregister_name, [Name]},
    case ram_own_table:run(?TABLE, default, [], [{delete, none, Name}], [], Call) of
        {ran, true, _, []} -> ok;
        {error, Reason} -> ram_write:failed(Reason, [], Call)
    end.

-spec whereis_name(Name :: term()) -> pid() | undefined.
whereis_name(Name) ->
    found(Name, {?MODULE, whereis_name, [Name]}).

%% A process that has ended here has its name no more, whatever the cluster knows.
found(Name, Call) ->
    Pid = case ram_read:own(?NAME, Name, undefined) of
              'ram fetch' -> looked_up(Name, Call);
              Found -> Found
          end,
    case is_pid(Pid) andalso is_gone(Pid) of
        true -> undefined;
        false -> Pid
    end.

looked_up(Name, Call) ->
    case ram_lookup:item(ram_options:own(#{table => ?NAME}, Call), Name) of
        {value, Pid, _Meta} -> Pid;
        none -> undefined;
        {error, {no_table, _}} -> undefined;
        Failed -> ram_lookup:checked(Failed, Call)
    end.

%% A process of this node that has ended, or of an earlier run of it.
is_gone(Pid) when node(Pid) =:= node() ->
    try not is_process_alive(Pid)
    catch error:badarg -> true
    end;
is_gone(_OfAnotherNode) ->
    false.

-spec send(Name :: term(), Message :: term()) -> pid().
send(Name, Message) ->
    case found(Name, {?MODULE, send, [Name, Message]}) of
        undefined -> exit({badarg, {Name, Message}});
        Pid -> Pid ! Message, Pid
    end.

-spec names() -> [Name :: term()].
names() ->
    Call = {?MODULE, names, []},
    ram_own_table:keys(all, ram_options:own(#{table => ?NAME}, Call), Call).
